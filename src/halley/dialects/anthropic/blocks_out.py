"""Parts of an ask to content blocks of Anthropic Messages: what the model is told, and what it said before.

What cannot be said is refused with its place in the caller's body, or is a loss where the rest makes sense without it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Final

import msgspec

from halley.chat import seals
from halley.chat.calls import Repeats
from halley.chat.doors import Target
from halley.chat.model import (
    Audio,
    Cache,
    Citation,
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
    Source,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Url,
    Video,
)
from halley.chat.naming import flat
from halley.dialects.anthropic.sealing import NAME
from halley.errors import Condition, Refused
from halley.wire.jsonbody import BROKEN

Block = dict[str, object] | msgspec.Raw
FREE_INPUT: Final = "input"
"""Where the text of a tool stands whose input is not JSON."""
PICTURES: Final = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_PDF: Final = "application/pdf"
_ID: Final = re.compile(r"[a-zA-Z0-9_-]+")
_NOT_ID: Final = re.compile(r"[^a-zA-Z0-9_-]")
_decode_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def cannot(at: str, what: str) -> Refused:
    """Content without which the rest means something else."""
    return Refused(Condition.INVALID, f"{at}: this model's provider takes no {what}.", param=at or None)


def cache_control(cache: Cache) -> dict[str, str]:
    return {"type": "ephemeral"} if cache.ttl is None else {"type": "ephemeral", "ttl": cache.ttl}


def as_object(arguments: str) -> msgspec.Raw | None:
    """Arguments as the object that `input` must be; nothing is an empty one. None: they are no object."""
    if not arguments.strip():
        return msgspec.Raw(b"{}")
    try:
        _decode_object(arguments)
    except BROKEN:
        return None
    return msgspec.Raw(arguments.encode())


def wrapped(arguments: str) -> msgspec.Raw:
    """What the model wrote, where only an object may stand."""
    return msgspec.Raw(msgspec.json.encode({"arguments": arguments}))


class ToolIds:
    """Ids of tool calls as Anthropic takes them (`^[a-zA-Z0-9_-]+$`, each once in a conversation), the same for the same conversation.
    Calls without an id are counted, and their results go by name and order. An id that comes again (some hosts of chat begin at `call_0` in
    every answer) has a number behind it, and a result is of the latest call with its id."""

    def __init__(self) -> None:
        self._made = 0
        self._open: list[tuple[str, str]] = []
        self._fitted: dict[str, str] = {}
        self._repeats = Repeats()

    def call(self, name: str, given: str) -> str:
        if given:
            made = self._fitted[given] = self._repeats.fresh(self._fit(given))
            return made
        self._made += 1
        made = f"toolu_{self._made}"
        self._open.append((name, made))
        return made

    def result(self, part: ToolResult) -> str:
        """Raises Refused when it is not said of what it is the result."""
        if part.id:
            return self._fitted.get(part.id) or self._fit(part.id)
        for index, (name, made) in enumerate(self._open):
            if part.name is None or part.name == name:
                del self._open[index]
                return made
        raise Refused(Condition.INVALID, f"{part.at}: this is the result of no call that came before it.", param=part.at or None)

    @staticmethod
    def _fit(given: str) -> str:
        if _ID.fullmatch(given):
            return given
        # Two ids may differ in nothing but what is replaced.
        return f"{_NOT_ID.sub('_', given)[:40]}_{hashlib.sha256(given.encode()).hexdigest()[:16]}"


class Blocks:
    """The parts of one ask, for one target. `losses` grows."""

    def __init__(self, target: Target, losses: list[Loss]) -> None:
        self._target = target
        self._losses = losses
        self._ids = ToolIds()

    def text(self, part: Part) -> Block | None:
        """A block of a system prompt. Raises Refused."""
        if isinstance(part, Text):
            return self._text(part)
        if isinstance(part, Opaque) and part.dialect == NAME:
            return part.raw
        raise cannot(part.at, f"{_what(part)} in a system prompt")

    def user(self, part: Part) -> Block | None:
        """Raises Refused."""
        match part:
            case ToolResult():
                return self._result(part)
            case Thinking():
                self.lose(part.at, "thinking stands in a turn of the assistant")
                return None
            case ToolCall() | Refusal():
                raise cannot(part.at, f"{_what(part)} in a turn of the user")
            case _:
                return self._shown(part)

    def assistant(self, part: Part) -> Block | None:
        """Raises Refused."""
        match part:
            case Text():
                return self._text(part)
            case Refusal(text=text):
                return self._plain(text, part.at)
            case Thinking():
                return self._thinking(part)
            case ToolCall():
                return self._call(part)
            case Audio(transcript=str(transcript)):
                self.lose(part.at, "what was spoken is said by its transcript")
                return self._plain(transcript, part.at)
            case Opaque(dialect=dialect, raw=raw) if dialect == NAME:
                return raw
            case _:
                raise cannot(part.at, f"{_what(part)} in a turn of the assistant")

    def lose(self, path: str, reason: str) -> None:
        self._losses.append(Loss(path, reason))

    def _shown(self, part: Part) -> Block | None:
        """What may stand in a message and in a tool's result."""
        match part:
            case Text():
                return self._text(part)
            case Image():
                return self._image(part)
            case Document():
                return self._document(part)
            case Opaque(dialect=dialect, raw=raw) if dialect == NAME:
                return raw
            case _:
                raise cannot(part.at, _what(part))

    def _text(self, part: Text) -> Block | None:
        self._sealed(part.seal, part.at)
        block = self._plain(part.text, part.at)
        if block is None:
            if part.cache is not None:
                self.lose(part.at, "an empty text cannot carry a cache mark")
            return None
        if part.citations:
            block |= self._citations(part.citations, part.at)
        return _marked(block, part.cache)

    def _plain(self, text: str, at: str) -> dict[str, object] | None:
        """A text of nothing is refused, and so is one of white space alone, as other models write it in front of their calls."""
        if text.strip():
            return {"type": "text", "text": text}
        if text:
            self.lose(at, "a text of nothing but white space is not taken")
        return None

    def _citations(self, citations: tuple[Citation, ...], at: str) -> dict[str, object]:
        own = [citation.raw for citation in citations if citation.dialect == NAME and citation.raw is not None]
        if len(own) < len(citations):
            self.lose(at, "citations of another provider's search cannot be repeated")
        return {"citations": own} if own else {}

    def _image(self, part: Image) -> Block:
        self._sealed(part.seal, part.at)
        if part.detail not in (None, "auto"):
            self.lose(part.at, f'how closely to look ("{part.detail}") cannot be said')
        if isinstance(part.source, Inline) and part.source.mime not in PICTURES:
            raise cannot(part.at, f"image of type {part.source.mime[:64]} (only JPEG, PNG, GIF and WebP)")
        return _marked({"type": "image", "source": self._source(part.source, part.at, "image")}, part.cache)

    def _document(self, part: Document) -> Block:
        block: dict[str, object] = {"type": "document", "source": self._read(part)}
        if part.name is not None:
            block["title"] = part.name
        if part.context is not None:
            block["context"] = part.context
        if part.cited:
            block["citations"] = {"enabled": True}
        return _marked(block, part.cache)

    def _read(self, part: Document) -> dict[str, str]:
        """The source of a document: a PDF, or text."""
        source = part.source
        if isinstance(source, Inline) and source.mime.startswith("text/"):
            try:
                source = PlainText(base64.b64decode(source.data, validate=True).decode())
            except (binascii.Error, ValueError):
                raise cannot(part.at, f"{source.mime[:64]} that is not base64 of UTF-8") from None
        if isinstance(source, PlainText):
            return {"type": "text", "media_type": "text/plain", "data": source.text}
        if isinstance(source, Inline) and source.mime != _PDF:
            raise cannot(part.at, f"document of type {source.mime[:64]} (only PDF and text)")
        return self._source(source, part.at, "document")

    def _source(self, source: Source, at: str, what: str) -> dict[str, str]:
        match source:
            case Inline(mime=mime, data=data):
                return {"type": "base64", "media_type": mime, "data": data}
            case Url(url=url):
                if not self._target.takes_urls:
                    raise cannot(at, f"{what} by its URL")
                return {"type": "url", "url": url}
            case FileId(id=name, dialect=dialect):
                if dialect != NAME:
                    raise cannot(at, f"{what} that was uploaded to another provider")
                return {"type": "file", "file_id": name}

    def _thinking(self, part: Thinking) -> Block | None:
        if part.seal is None:
            if part.text:
                self.lose(part.at, "thinking that its maker has not signed cannot be repeated")
            return None
        if not seals.opens(part.seal, self._target.origin):
            self.lose(part.at, "thinking that another provider signed cannot be repeated")
            return None
        if part.redacted:
            return {"type": "redacted_thinking", "data": part.seal.value}
        return {"type": "thinking", "thinking": part.text, "signature": part.seal.value}

    def _call(self, part: ToolCall) -> Block:
        self._sealed(part.seal, part.at)
        name = flat(part.name, part.namespace)
        arguments = as_object(part.arguments)
        if part.free:
            arguments = msgspec.Raw(msgspec.json.encode({FREE_INPUT: part.arguments}))
        elif arguments is None:
            self.lose(part.at, 'arguments that are no JSON object are repeated as {"arguments": …}')
            arguments = wrapped(part.arguments)
        return _marked({"type": "tool_use", "id": self._ids.call(part.name, part.id), "name": name, "input": arguments}, part.cache)

    def _result(self, part: ToolResult) -> Block:
        block: dict[str, object] = {"type": "tool_result", "tool_use_id": self._ids.result(part)}
        inner = [found for each in part.parts if (found := self._shown(each)) is not None]
        if inner:
            block["content"] = inner
        if part.failed:
            block["is_error"] = True
        return _marked(block, part.cache)

    def _sealed(self, seal: Seal | None, at: str) -> None:
        if seal is not None:  # here only thinking has one
            self.lose(at, "what another provider signed is repeated without its signature")


def _marked(block: dict[str, object], cache: Cache | None) -> dict[str, object]:
    if cache is not None:
        block["cache_control"] = cache_control(cache)
    return block


def _what(part: Part) -> str:
    return f'part "{part.what}"' if isinstance(part, Opaque) else _WORDS[type(part)]


_WORDS: Final[dict[type[Part], str]] = {
    Text: "text",
    Image: "image",
    Audio: "audio",
    Video: "video",
    Document: "document",
    ToolCall: "tool call",
    ToolResult: "tool result",
    Thinking: "thinking",
    Refusal: "refusal",
    Opaque: "part",
}
