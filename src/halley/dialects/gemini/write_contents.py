"""Turns as `contents` and `systemInstruction`.

Roles alternate: neighbours of one role become one content. A tool's result needs the name of its function, which is looked up in earlier
turns. Media in a result go into the response itself for models from Gemini 3 on, and behind it for older ones, which refuse them there; so
does Gemini CLI (its `convertToFunctionResponse`, read 2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import cast

import msgspec

from halley.chat import seals
from halley.chat.doors import Target
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
    Source,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
    Url,
    Video,
)
from halley.chat.naming import flat
from halley.dialects.gemini.answer import FREE_INPUT, Json, is_object
from halley.dialects.gemini.seals import NAME, UNSIGNED_CALL
from halley.errors import Condition, Refused

_GENERATION = re.compile(r"gemini-(\d+)")
_LATEST = re.compile(r"gemini-[a-z-]*latest")
_NEWEST = 3
# Fetched by Google whatever it is asked through; nobody else could.
_VIDEO_SITE = re.compile(r"https?://(?:(?:www\.|m\.)?youtube\.com|youtu\.be)/")


def generation(model: str) -> int | None:
    """`gemini-3.1-pro` → 3; what `gemini-flash-latest` leads to is of the newest that is known here. None for a model of another name."""
    found = _GENERATION.search(model)
    return int(found[1]) if found else _NEWEST if _LATEST.search(model) else None


def seals_calls(model: str) -> bool:
    """Whether a model may refuse a call without a signature. One of another name (a tuned model's, an alias) may be of the newest, and an
    older one overlooks the mark; so decides Gemini CLI (its `supportsModernFeatures`, read 2026-11)."""
    number = generation(model)
    return number is None or number >= _NEWEST


def refused(at: str, why: str) -> Refused:
    return Refused(Condition.INVALID, f"{at}: {why}." if at else f"{why}.", param=at or None)


def arguments(text: str) -> msgspec.Raw | None:
    """JSON text of an object as it is; None when it is something else. No text is no arguments."""
    if not text.strip():
        return msgspec.Raw(b"{}")
    return msgspec.Raw(text.encode()) if is_object(text) else None


class Writer:
    """One ask's turns. `losses` grows with them."""

    __slots__ = ("_names", "_nested", "_sealed_calls", "_target", "contents", "losses", "system")

    def __init__(self, target: Target) -> None:
        number = generation(target.model)
        self._target = target
        self._nested = number is not None and number >= _NEWEST
        self._sealed_calls = seals_calls(target.model)
        self._names: dict[str, str] = {}
        self.system: list[Json] = []
        self.contents: list[Json] = []
        self.losses: list[Loss] = []

    def lost(self, path: str, reason: str) -> None:
        self.losses.append(Loss(path, reason))

    def turns(self, turns: Sequence[Turn]) -> None:
        spoken = any(turn.role in ("user", "assistant") for turn in turns)
        for turn in turns:
            if turn.name is not None:
                self.lost(f"{turn.at}.name", "a turn has no name in this dialect")
            if turn.role == "assistant":
                self._add("model", self._signed([made for part in turn.parts for made in self._part(part)]))
            elif turn.role == "user":
                self._add("user", [made for part in turn.parts for made in self._part(part)])
            elif spoken and not self.contents:
                self.system += [made for part in turn.parts for made in self._instruction(part)]
            else:
                # Only with a first content can there be a system instruction, and only before it.
                self.lost(turn.at, "a system turn stands at the beginning in this dialect; here it is said in a user's turn")
                self._add("user", [made for part in turn.parts for made in self._instruction(part)])

    def _add(self, role: str, parts: list[Json]) -> None:
        if not parts:
            return
        if self.contents and self.contents[-1]["role"] == role:
            cast("list[Json]", self.contents[-1]["parts"]).extend(parts)
        else:
            self.contents.append({"role": role, "parts": parts})

    def _signed(self, parts: list[Json]) -> list[Json]:
        """The first of parallel calls carries the signature of all."""
        first = next((part for part in parts if "functionCall" in part), None)
        if self._sealed_calls and first is not None and "thoughtSignature" not in first:
            first["thoughtSignature"] = UNSIGNED_CALL
        return parts

    def _instruction(self, part: Part) -> list[Json]:
        if not isinstance(part, Text):
            raise refused(part.at, "a system turn holds text alone in this dialect")
        return self._text(part)

    def _part(self, part: Part) -> list[Json]:
        match part:
            case Text():
                return self._text(part)
            case Thinking():
                return self._thinking(part)
            case Refusal():
                return [{"text": part.text}]
            case ToolCall():
                return [self._call(part)]
            case ToolResult():
                return self._result(part)
            case Opaque():
                if part.dialect != NAME:
                    raise refused(part.at, f"{part.what} is known to {part.dialect} alone")
                return [dict(msgspec.json.decode(part.raw, type=dict[str, msgspec.Raw]))]
            case Image() | Audio() | Video() | Document():
                return [self._medium(part)]

    def _text(self, part: Text) -> list[Json]:
        if part.citations:
            self.lost(part.at, "citations of earlier answers have no place in this dialect")
        self._cache(part)
        if not part.text and part.seal is None:
            return []  # it says nothing, and is refused by some models
        return [self._sealed({"text": part.text}, part.seal, part.at)]

    def _thinking(self, part: Thinking) -> list[Json]:
        if part.seal is not None and not seals.opens(part.seal, self._target.origin):
            self.lost(part.at, "the thinking of another model is not given to this one")
            return []
        if part.redacted and part.seal is None:
            return []
        return [self._sealed({"text": part.text, "thought": True}, part.seal, part.at)]

    def _call(self, part: ToolCall) -> Json:
        self._cache(part)
        self._names[part.id] = name = flat(part.name, part.namespace)
        parsed = msgspec.Raw(msgspec.json.encode({FREE_INPUT: part.arguments})) if part.free else arguments(part.arguments)
        if parsed is None:
            self.lost(part.at, "arguments that are no JSON object are given as the text of one field, `arguments`")
            parsed = msgspec.Raw(msgspec.json.encode({"arguments": part.arguments}))
        call: Json = {"id": part.id, "name": name, "args": parsed} if part.id else {"name": name, "args": parsed}
        return self._sealed({"functionCall": call}, part.seal, part.at)

    def _result(self, part: ToolResult) -> list[Json]:
        self._cache(part)
        name = self._names.get(part.id) or part.name
        if name is None:
            raise refused(part.at, f'no earlier call has the id "{part.id[:64]}", so the function that was called is not known')
        said = [each.text for each in part.parts if isinstance(each, Text)]
        media = [each for each in part.parts if not isinstance(each, Text)]
        response: Json = {"id": part.id} if part.id else {}
        response |= {"name": name, "response": _response("\n".join(said), part)}
        written = [made for each in media for made in self._part(each)]
        if not written:
            return [{"functionResponse": response}]
        if self._nested:
            response["parts"] = written
            return [{"functionResponse": response}]
        return [{"functionResponse": response}, *written]

    def _medium(self, part: Image | Audio | Video | Document) -> Json:
        self._cache(part)
        if isinstance(part, Audio) and part.source is None:
            if part.transcript is None:
                raise refused(part.at, "audio that is named by an id is known to its maker alone; send its data or its transcript")
            self.lost(part.at, "audio that is named by an id is given as its transcript")
            return {"text": part.transcript}
        if isinstance(part, Document):
            for said, word in ((part.context, "a remark about a document"), (part.name, "a document's name")):
                if said is not None:
                    self.lost(part.at, f"{word} has no place in this dialect")
            if part.cited:
                self.lost(part.at, "citations of a document cannot be asked for in this dialect")
            if isinstance(part.source, PlainText):
                return {"text": part.source.text}
        made = self._source(cast("Source", part.source), part.at)
        if isinstance(part, Image):
            # Per-part resolution is of Gemini 3 and its alpha API alone.
            if part.detail not in (None, "auto"):
                self.lost(part.at, "how closely to look is set for the whole request in this dialect")
            return self._sealed(made, part.seal, part.at)
        if isinstance(part, Video):
            clip = {"startOffset": _duration(part.start_s), "endOffset": _duration(part.end_s), "fps": part.fps}
            if given := {key: value for key, value in clip.items() if value is not None}:
                made["videoMetadata"] = given
        return made

    def _source(self, source: Source, at: str) -> Json:
        match source:
            case Inline():
                return {"inlineData": {"mimeType": source.mime, "data": source.data}}
            case FileId():
                if source.dialect != NAME:
                    raise refused(at, f"a file that was uploaded to {source.dialect} is not known to this provider; send its data")
                return {"fileData": _uri(source.id, source.mime)}
            case Url():
                if not self._target.takes_urls and not _VIDEO_SITE.match(source.url):
                    raise refused(at, "this provider fetches no addresses; send the data")
                return {"fileData": _uri(source.url, source.mime)}

    def _sealed(self, made: Json, seal: Seal | None, at: str) -> Json:
        if seal is not None:
            if seals.opens(seal, self._target.origin):
                made["thoughtSignature"] = seal.value
            else:
                self.lost(at, "the signature of another model is not given to this one")
        return made

    def _cache(self, part: Text | Image | Audio | Video | Document | ToolCall | ToolResult) -> None:
        if part.cache is not None:
            self.lost(part.at, "a cache mark has no place in this dialect, which caches by itself")


def _uri(uri: str, mime: str | None) -> Json:
    return {"fileUri": uri} if mime is None else {"mimeType": mime, "fileUri": uri}


def _duration(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds:g}s"


def _response(text: str, part: ToolResult) -> object:
    """An object: the caller's own, or one made around what is none."""
    whole = arguments(text) if part.structured and text else None
    if part.failed:
        if whole is None:
            return {"error": text}
        # Already an error in this dialect's words.
        return whole if _keys(whole) == ["error"] else {"error": whole}
    return {"result": text} if whole is None else whole


def _keys(raw: msgspec.Raw) -> list[str]:
    return list(msgspec.json.decode(raw, type=dict[str, msgspec.Raw]))
