"""A request that goes to a provider of this dialect as it came: what is checked, and the few bytes that change.

The documented core is judged, in both spellings; everything else passes. The model and the operation are read from the path:
`/v1beta/models/NAME:streamGenerateContent`, also under `/v1`, with `models/` or `tunedModels/` within the name.
"""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import unquote

import msgspec

from halley.chat.peek import Peek
from halley.chat.reading import invalid, refused
from halley.dialects.gemini import seals
from halley.dialects.gemini.node import camel
from halley.dialects.gemini.write_contents import seals_calls
from halley.errors import Condition, Refused
from halley.wire import jsonbody
from halley.wire.jsonbody import BROKEN

STREAM = "streamGenerateContent"
_MOST_FILES = 1500
_PREFIX = "/models/"
_LONGEST_NAME = 256
Role = Literal["user", "model", "function"]
Cap = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Number = Annotated[int, msgspec.Meta(ge=1, le=128)]


class _File(msgspec.Struct):
    fileUri: str | None = None
    file_uri: str | None = None


class _Blob(msgspec.Struct):
    """An object, whatever is in it."""


class _Part(msgspec.Struct):
    text: str | None = None
    inlineData: _Blob | None = None
    inline_data: _Blob | None = None
    fileData: _File | None = None
    file_data: _File | None = None


class _Content(msgspec.Struct):
    role: Role | None = None
    # Google takes one message where a list of them is meant, and its own examples write it so.
    parts: list[_Part] | _Part | None = None


class _Config(msgspec.Struct):
    maxOutputTokens: Cap | None = None
    max_output_tokens: Cap | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    topP: Share | None = None
    top_p: Share | None = None
    candidateCount: Number | None = None
    candidate_count: Number | None = None


class Request(msgspec.Struct):
    contents: list[_Content] | _Content | None = None
    generationConfig: _Config | None = None
    generation_config: _Config | None = None


# Integers come as strings and as 64.0 as well.
_decode_ask = msgspec.json.Decoder(Request, strict=False).decode
_CORE = {name.lower(): name for name in ("contents", "generationConfig", "systemInstruction", "tools", "toolConfig")}
_JUDGED_INSIDE = {"generationConfig": b"", "generation_config": b"", "contents": b"fileUri"}
_JUDGED_SNAKE = {"contents": b"file_uri"}


def peek(body: bytes, path: bytes) -> Peek:
    """Raises Refused, naming the field in the caller's spelling."""
    model, operation = addressed(path)
    return peek_as(body, model, operation == STREAM)


def addressed(path: bytes) -> tuple[str, str]:
    """The model's name and the operation; the name may have slashes and colons of its own."""
    name, _, operation = unquote(path.partition(b"?")[0].decode("latin-1")).partition(_PREFIX)[2].rpartition(":")
    name = name.removeprefix("models/")
    if not name or len(name) > _LONGEST_NAME:
        raise Refused(Condition.INVALID, f"The path names no model; it is {_PREFIX}NAME:{STREAM}.", param="model")
    return name, operation


def peek_as(body: bytes, model: str, stream: bool) -> Peek:
    try:
        jsonbody.gate(body)
        members = jsonbody.members(body)
        _check_spelling(members)
        everything = frozenset(members)
        jsonbody.check_one_reading(body, members, everything, _JUDGED_INSIDE)
        jsonbody.check_one_reading(body, members, everything, _JUDGED_SNAKE)
    except jsonbody.Malformed as error:
        reason = str(error) if body.strip() else "The body is empty; send a JSON object with contents."
        raise Refused(Condition.INVALID, reason) from None
    try:
        ask = _decode_ask(body)
    except BROKEN as error:
        raise refused(error, known=("user", "model")) from None
    contents = _listed(ask.contents)
    if not contents:
        raise invalid("contents", "is missing: at least one content is needed")
    config = ask.generationConfig or ask.generation_config or _Config()
    return Peek(
        model,
        stream,
        _one(config.candidateCount, config.candidate_count, "candidateCount") or 1,
        _one(config.maxOutputTokens, config.max_output_tokens, "maxOutputTokens"),
        True,
        _addresses(contents),
        members,
    )


def _listed(found: list[_Content] | _Content | None) -> list[_Content]:
    return found if isinstance(found, list) else [] if found is None else [found]


def _check_spelling(members: jsonbody.Members) -> None:
    """One reader could take another spelling of a field for it, where another does not."""
    seen: set[str] = set()
    for key in members:
        name = camel(key)
        folded = name.lower()
        if folded in _CORE:
            if name != _CORE[folded]:
                raise jsonbody.Malformed(f'The field "{key[:64]}" must be spelled "{_CORE[folded]}".')
            if name in seen:
                raise jsonbody.Malformed(f"The field {name} is given twice, in two spellings.")
            seen.add(name)


def _one(camel_case: int | None, snake_case: int | None, name: str) -> int | None:
    if camel_case is not None and snake_case is not None:
        raise invalid(f"generationConfig.{name}", "given twice, in two spellings")
    return camel_case if snake_case is None else snake_case


def _addresses(contents: list[_Content]) -> list[str]:
    found: list[str] = []
    for content in contents:
        parts = content.parts
        for part in parts if isinstance(parts, list) else () if parts is None else (parts,):
            for file in (part.fileData, part.file_data):
                if file is not None:
                    found += [uri for uri in (file.fileUri, file.file_uri) if uri is not None and uri.startswith(("http://", "https://"))]
    if len(found) > _MOST_FILES:
        raise invalid("contents", f"at most {_MOST_FILES} files are taken in one request")
    return found


def outbound(body: bytes, seen: Peek, model: str, cap: int | None, cap_field: str) -> bytes:
    """The very bytes, but for an output cap when one had to be set, and the seals of other makers. The model is in the path, and the cap
    has one name in this dialect."""
    if cap is not None:
        body = jsonbody.set_members(body, seen.members, _capped(body, seen.members, cap))
    return seals.without_foreign(body, sealed_calls=seals_calls(model))


def _capped(body: bytes, members: jsonbody.Members | jsonbody.Places, cap: int) -> dict[str, bytes]:
    snake, plain = "generation_config", "generationConfig"
    key = snake if _value(body, members, snake) is not None else plain
    raw = _value(body, members, key)
    if raw is None or not raw.startswith(b"{"):  # null, or "null", which the decoder takes for it
        return {key: b'{"maxOutputTokens":%d}' % cap}
    inner = jsonbody.members(raw)
    spelled_small = "max_output_tokens" in inner or ("maxOutputTokens" not in inner and key == snake)
    return {key: jsonbody.set_members(raw, inner, {"max_output_tokens" if spelled_small else "maxOutputTokens": b"%d" % cap})}


def _value(body: bytes, members: jsonbody.Members | jsonbody.Places, key: str) -> bytes | None:
    if isinstance(members, jsonbody.Places):
        span = members.spans.get(key)
        return None if span is None else body[span[0] : span[1]]
    return bytes(members[key]) if key in members else None
