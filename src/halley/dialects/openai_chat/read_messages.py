"""Messages of a chat request as turns: every role, every kind of part, tool calls and their results, and reasoning that comes back.

Neighbouring tool messages become the results of one user turn, which is what they are in every other dialect. A part of an unknown kind
stays as it came. Reasoning comes back in three places, because clients keep what their SDK shows them: `reasoning_details` (OpenRouter's
published shape, read 2026-11) with the seal of its maker, `reasoning_content`, and `extra_content.google.thought_signature` at a call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from halley.chat import seals
from halley.chat.media import sound_mime
from halley.chat.model import (
    Audio,
    Cache,
    Document,
    Extra,
    Image,
    Inline,
    Opaque,
    Part,
    Refusal,
    Role,
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
    Video,
)
from halley.chat.reading import decode, invalid, strays
from halley.dialects.openai_chat import media
from halley.dialects.openai_chat.media import NAME

_ROLES: dict[str, Role] = {"system": "system", "developer": "developer", "user": "user", "assistant": "assistant"}


class _Cache(msgspec.Struct):
    type: str = "ephemeral"
    ttl: Literal["5m", "1h"] | None = None


class _Url(msgspec.Struct):
    url: str
    detail: str | None = None


class _Sound(msgspec.Struct):
    data: str
    format: str


class _File(msgspec.Struct):
    filename: str | None = None
    file_data: str | None = None
    file_id: str | None = None


class _Part(msgspec.Struct):
    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: _Url | None = None
    video_url: _Url | None = None
    input_audio: _Sound | None = None
    file: _File | None = None
    cache_control: _Cache | None = None


class _Called(msgspec.Struct):
    name: str
    arguments: str = ""
    input: str = ""


class _Google(msgspec.Struct):
    thought_signature: str | None = None


class _Beside(msgspec.Struct):
    google: _Google | None = None


class _Call(msgspec.Struct):
    id: str = ""
    type: str = "function"
    function: _Called | None = None
    custom: _Called | None = None
    extra_content: _Beside | None = None
    index: float | None = None  # its place in the stream it came in


class Detail(msgspec.Struct):
    """One piece of `reasoning_details`."""

    type: str
    text: str | None = None
    summary: str | None = None
    data: str | None = None
    signature: str | None = None
    id: str | None = None
    index: float | None = None
    format: str | None = None  # whose words they are; the seal knows


class _Spoken(msgspec.Struct):
    id: str


class Message(msgspec.Struct):
    role: str
    content: str | list[msgspec.Raw] | None = None
    name: str | None = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None
    function_call: _Called | None = None
    refusal: str | None = None
    audio: _Spoken | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Detail] | None = None
    cache_control: _Cache | None = None


_part = msgspec.json.Decoder(_Part)


def read_messages(messages: Sequence[Message], extras: list[Extra]) -> list[Turn]:
    """Raises Refused. What of a part has no place in the vocabulary goes to `extras`."""
    turns: list[Turn] = []
    results: list[ToolResult] = []
    for index, message in enumerate(messages):
        at = f"messages[{index}]"
        if message.role in ("tool", "function"):
            results.append(_result(message, at, extras))
            continue
        if results:
            turns.append(Turn("user", tuple(results), at=results[0].at))
            results = []
        role = _ROLES.get(message.role)
        if role is None:
            raise invalid(f"{at}.role", f'there is no role "{message.role[:64]}"')
        parts = _parts(message.content, f"{at}.content", extras)
        if message.cache_control is not None and parts:
            parts[-1] = marked(parts[-1], message.cache_control)
        if role == "assistant":
            parts = [*_thinking(message, at), *parts, *_said_besides(message, at), *_calls(message, at)]
        turns.append(Turn(role, tuple(parts), message.name, at))
    if results:
        turns.append(Turn("user", tuple(results), at=results[0].at))
    return turns


def _result(message: Message, at: str, extras: list[Extra]) -> ToolResult:
    parts: list[Text | Image | Audio | Video | Document | Opaque] = []
    for part in _parts(message.content, f"{at}.content", extras):
        if not isinstance(part, Text | Image | Audio | Video | Document | Opaque):
            raise invalid(part.at, "cannot stand in what a tool returned")
        parts.append(part)
    cache = None if message.cache_control is None else Cache(message.cache_control.ttl)
    # The legacy role `function` has a name instead of an id.
    return ToolResult(message.tool_call_id or message.name or "", tuple(parts), message.name, cache=cache, at=at)


def _parts(content: str | list[msgspec.Raw] | None, at: str, extras: list[Extra]) -> list[Part]:
    if content is None:
        return []
    if isinstance(content, str):
        return [Text(content, at=at)] if content else []
    parts: list[Part] = []
    for index, raw in enumerate(content):
        here = f"{at}[{index}]"
        part = _read_part(raw, here)
        if not isinstance(part, Opaque):
            extras += strays(NAME, raw, _Part, here)
        parts.append(part)
    return parts


def _read_part(raw: msgspec.Raw, at: str) -> Part:
    part = decode(_part, raw, at)
    cache = None if part.cache_control is None else Cache(part.cache_control.ttl)
    match part.type:
        case "text" if part.text is not None:
            return Text(part.text, cache=cache, at=at)
        case "refusal" if part.refusal is not None:
            return Refusal(part.refusal, at=at)
        case "image_url" if part.image_url is not None:
            return Image(media.source(part.image_url.url, "image/png"), part.image_url.detail, cache, at=at)
        case "video_url" if part.video_url is not None:
            return Video(media.source(part.video_url.url, "video/mp4"), cache=cache, at=at)
        case "input_audio" if part.input_audio is not None:
            return Audio(Inline(sound_mime(part.input_audio.format), part.input_audio.data), cache=cache, at=at)
        case "file" if part.file is not None:
            source = media.file(part.file.file_data, part.file.file_id)
            if source is None:
                raise invalid(f"{at}.file", "a file has file_data or file_id")
            return Document(source, part.file.filename, cache=cache, at=at)
        case kind:
            return Opaque(NAME, f"a part of type {kind[:64]}", raw.copy(), at)


def marked(part: Part, mark: _Cache) -> Part:
    """With a cache mark, where the kind of part has one."""
    if isinstance(part, Text | Image | Audio | Video | Document):
        return msgspec.structs.replace(part, cache=Cache(mark.ttl))
    return part


def _thinking(message: Message, at: str) -> list[Part]:
    if message.reasoning_details:
        return [
            read_detail(detail, NAME, f"{at}.reasoning_details[{index}]") for index, detail in enumerate(_merged(message.reasoning_details))
        ]
    text = message.reasoning_content or message.reasoning
    return [Thinking(text, at=f"{at}.reasoning_content")] if text else []


def _merged(details: Sequence[Detail]) -> list[Detail]:
    """Pieces of one thought as one: some clients keep what was streamed as it came, piece by piece under one index."""
    found: list[Detail] = []
    for detail in details:
        last = found[-1] if found else None
        if (
            last is None
            or detail.index is None
            or (last.index, last.type) != (detail.index, detail.type)
            or detail.data is not None
            or _is_next(last, detail)
        ):
            found.append(detail)
            continue
        found[-1] = msgspec.structs.replace(
            last,
            text=None if last.text is detail.text is None else (last.text or "") + (detail.text or ""),
            summary=None if last.summary is detail.summary is None else (last.summary or "") + (detail.summary or ""),
            signature=detail.signature or last.signature,
            id=last.id or detail.id,
        )
    return found


def _is_next(last: Detail, detail: Detail) -> bool:
    return last.signature is not None and bool(detail.text or detail.summary)


def read_detail(detail: Detail, dialect: str, at: str = "") -> Thinking:
    """One piece of reasoning; its signature or its encrypted text is the seal. A signature alone is of a thought that is not shown."""
    value = detail.signature or detail.data
    seal = None if not value else seals.read(value, dialect)
    text = detail.text or detail.summary or ""
    return Thinking(text, summary=detail.summary is not None, redacted=detail.data is not None and not text, id=detail.id, seal=seal, at=at)


def _said_besides(message: Message, at: str) -> list[Part]:
    spoken = message.audio
    refused: list[Part] = [Refusal(message.refusal, at=f"{at}.refusal")] if message.refusal else []
    return refused if spoken is None else [*refused, Audio(None, id=spoken.id, at=f"{at}.audio")]


def _calls(message: Message, at: str) -> list[Part]:
    if message.function_call is not None:
        # The legacy pair has no ids; the result is found by the name.
        called = message.function_call
        return [ToolCall(called.name, called.name, called.arguments, at=f"{at}.function_call")]
    return [_call(call, f"{at}.tool_calls[{index}]") for index, call in enumerate(message.tool_calls or ())]


def _call(call: _Call, at: str) -> ToolCall:
    seal = _seal_beside(call.extra_content)
    if call.custom is not None:
        return ToolCall(call.id, call.custom.name, call.custom.input, free=True, seal=seal, at=at)
    if call.function is None:
        raise invalid(at, "a tool call has function or custom")
    return ToolCall(call.id, call.function.name, call.function.arguments, seal=seal, at=at)


def _seal_beside(beside: _Beside | None) -> Seal | None:
    signature = None if beside is None or beside.google is None else beside.google.thought_signature
    return None if signature is None else seals.read(signature, NAME)
