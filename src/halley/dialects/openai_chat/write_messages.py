"""Turns as chat messages. Results of tools become messages of their own in front of what the user says with them, in order.

A system turn keeps its place. `developer` is written as `system`: every host of this dialect knows that word, and OpenAI's newest models
read it as the other.
"""

from __future__ import annotations

import hashlib
import string
from collections.abc import Iterable, Sequence

import msgspec

from halley.chat import seals
from halley.chat.doors import Target
from halley.chat.media import file_name, sound_format
from halley.chat.model import (
    Audio,
    Document,
    FileId,
    Image,
    Inline,
    Loss,
    Opaque,
    Part,
    PlainText,
    Refusal,
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
    Url,
    Video,
)
from halley.chat.naming import flat
from halley.chat.reading import unsaid
from halley.dialects.openai_chat import media
from halley.dialects.openai_chat.media import NAME

Message = dict[str, object]
_LONGEST_ID = 40  # of a call at OpenAI, Azure and who follows them
_LETTERS = string.ascii_letters + string.digits
_decode = msgspec.json.Decoder(dict[str, object]).decode


class Writer:
    """Writes the messages of one request; what cannot be said is added to its losses."""

    def __init__(self, target: Target, losses: list[Loss]) -> None:
        self._target = target
        self._losses = losses
        self._marked = False

    def messages(self, turns: Iterable[Turn]) -> list[Message]:
        """Raises Refused."""
        found: list[Message] = []
        for turn in turns:
            if turn.role == "assistant":
                found.append(self._assistant(turn))
            else:
                role = "user" if turn.role == "user" else "system"
                results = [part for part in turn.parts if isinstance(part, ToolResult)]
                media: list[Part] = []
                for result in results:
                    found.append(self._result(result, media))
                if media:
                    found.append({"role": "user", "content": [self._part(part) for part in media]})
                rest = [part for part in turn.parts if not isinstance(part, ToolResult)]
                if rest or not results:
                    found.append(_with_name({"role": role, "content": self._content(rest)}, turn))
        return found

    def _assistant(self, turn: Turn) -> Message:
        message: Message = {"role": "assistant"}
        said: list[Part] = []
        calls: list[Message] = []
        thoughts: list[str] = []
        details: list[Message] = []
        for part in turn.parts:
            match part:
                case ToolCall():
                    calls.append(self._call(part))
                case Thinking():
                    self._think(part, thoughts, details)
                case Audio(id=str() as spoken):
                    message["audio"] = {"id": spoken}
                case _:
                    said.append(part)
        message["content"] = self._content(said) if said or not calls else None
        if thoughts:
            message["reasoning_content"] = "".join(thoughts)
        if details:
            message["reasoning_details"] = details
        if calls:
            message["tool_calls"] = calls
        return _with_name(message, turn)

    def _call(self, call: ToolCall) -> Message:
        self._mark(call)
        name = flat(call.name, call.namespace)
        id = self._id(call.id)
        written: Message = {"id": id, "type": "custom", "custom": {"name": name, "input": call.arguments}}
        if not call.free:
            written = {"id": id, "type": "function", "function": {"name": name, "arguments": call.arguments or "{}"}}
        if call.seal is not None and self._opens(call.seal, call.at):
            written["extra_content"] = {"google": {"thought_signature": call.seal.value}}
        return written

    def _id(self, given: str) -> str:
        """One that the provider takes: the same for the same id, so that a result finds its call."""
        exact = self._target.exact_ids
        if exact and not (len(given) == exact and given.isascii() and given.isalnum()):
            number = int.from_bytes(hashlib.sha256(given.encode()).digest())
            return "".join([_LETTERS[number // len(_LETTERS) ** place % len(_LETTERS)] for place in range(exact)])
        return given if len(given) <= _LONGEST_ID else f"call_{hashlib.sha256(given.encode()).hexdigest()[:32]}"

    def _think(self, thought: Thinking, thoughts: list[str], details: list[Message]) -> None:
        """Reasoning goes back to its maker alone: others would take it for words of their own."""
        seal = thought.seal
        if seal is None:
            self._losses.append(Loss(thought.at, "reasoning without its maker's mark is not sent to a provider"))
        elif self._opens(seal, thought.at):
            if thought.text:
                thoughts.append(thought.text)
            if seal.value:
                details.append(_detail(thought, seal.value, len(details)))

    def _opens(self, seal: Seal, at: str) -> bool:
        opens = seals.opens(seal, self._target.origin)
        if not opens:
            self._losses.append(Loss(at, "it is sealed by another provider, which alone can read it"))
        return opens

    def _result(self, result: ToolResult, media: list[Part]) -> Message:
        """Takes text alone; what else the tool returned is added to `media`, for a message of the user after all results: providers refuse
        one that stands between the results of parallel calls."""
        self._mark(result)
        words = "".join([part.text for part in result.parts if isinstance(part, Text)])
        others = [part for part in result.parts if not isinstance(part, Text)]
        if result.failed:
            words = f"Error: {words}"
            self._losses.append(Loss(result.at, "that the tool failed is said in its text"))
        if others:
            self._losses.append(Loss(result.at, "media in a tool's result are sent in a message of the user after it"))
            media += others
        return {"role": "tool", "tool_call_id": self._id(result.id), "content": words}

    def _content(self, parts: Sequence[Part]) -> str | list[Message]:
        if len(parts) == 1 and isinstance(parts[0], Text):
            return self._text(parts[0])
        return [self._part(part) for part in parts] or ""

    def _text(self, part: Text) -> str:
        self._mark(part)
        self._unsealed(part)
        if part.citations:
            self._losses.append(Loss(part.at, "citations in earlier answers have no place in a message"))
        return part.text

    def _unsealed(self, part: Text | Image) -> None:
        if part.seal is not None:  # here only thinking and calls have one
            self._losses.append(Loss(part.at, "what another provider signed is repeated without its signature"))

    def _part(self, part: Part) -> Message:
        if isinstance(part, Text):
            return {"type": "text", "text": self._text(part)}
        self._mark(part)
        match part:
            case Refusal():
                return {"type": "refusal", "refusal": part.text}
            case Image():
                self._unsealed(part)
                image: Message = {"url": self._url(part.source, part.at)}
                if part.detail is not None:
                    image["detail"] = part.detail
                return {"type": "image_url", "image_url": image}
            case Video():
                if part.start_s is not None or part.end_s is not None or part.fps is not None:
                    self._losses.append(Loss(part.at, "a video cannot be clipped or sampled here"))
                return {"type": "video_url", "video_url": {"url": self._url(part.source, part.at)}}
            case Audio(source=Inline() as sound) if (word := sound_format(sound.mime)) is not None:
                return {"type": "input_audio", "input_audio": {"data": sound.data, "format": word}}
            case Document():
                return self._document(part)
            case Opaque(dialect=dialect, raw=raw) if dialect == NAME:
                return _decode(raw)
            case Opaque(what=what):
                raise unsaid(part.at, f"{what} cannot be sent to this provider")
            case _:
                raise unsaid(part.at, "this provider's dialect has no way to say it")

    def _url(self, source: Inline | Url | FileId, at: str) -> str:
        if isinstance(source, FileId) or (isinstance(source, Url) and not self._target.takes_urls):
            raise unsaid(at, "this provider cannot read what is stored elsewhere; send the data itself")
        return media.url(source)

    def _document(self, part: Document) -> Message:
        if part.cited or part.context is not None:
            self._losses.append(Loss(part.at, "remarks on a document and citations of it cannot be asked for here"))
        match part.source:
            case PlainText(text=text):
                self._losses.append(Loss(part.at, "a document of plain text is sent as text"))
                return {"type": "text", "text": text}
            case Inline() as data:
                file: Message = {"filename": part.name or file_name(data.mime), "file_data": media.url(data)}
                return {"type": "file", "file": file}
            case FileId(id=id, dialect=dialect) if dialect == NAME:
                return {"type": "file", "file": {"file_id": id}}
            case _:
                raise unsaid(part.at, "this provider takes no address of a document; send the data itself")

    def _mark(self, part: Part) -> None:
        cache = getattr(part, "cache", None)
        if cache is not None and not self._marked:
            self._marked = True  # one mark says it for all
            self._losses.append(Loss(f"{getattr(part, 'at', '')}.cache_control", "caching is automatic here"))


def _detail(thought: Thinking, value: str, number: int) -> Message:
    if thought.redacted:
        found: Message = {"type": "reasoning.encrypted", "data": value, "index": number}
    else:
        kind = "summary" if thought.summary else "text"
        found = {"type": f"reasoning.{kind}", kind: thought.text, "signature": value, "index": number}
    return found if thought.id is None else found | {"id": thought.id}


def _with_name(message: Message, turn: Turn) -> Message:
    return message if turn.name is None else message | {"name": turn.name}
