"""A whole answer and a provider's error, read.

Only the first candidate is the answer; others go with it as extras, as they came.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from halley.chat.doors import ProviderError, Unreadable
from halley.chat.model import Answer, Citation, Extra, FileId, Finish, Opaque, Part, Seal, Source, Text, Thinking, ToolCall, Url
from halley.chat.model import Inline as InlineData
from halley.chat.strays import Strays
from halley.dialects.gemini.answer import (
    ANSWER,
    KEPT,
    Call,
    Candidate,
    Response,
    WirePart,
    given,
    raw_candidates,
    raw_parts,
    read_block,
    read_finish,
    usage_watched,
)
from halley.dialects.gemini.read_contents import medium
from halley.dialects.gemini.seals import NAME
from halley.dialects.gemini.sources import read_citations, read_logprobs
from halley.wire.jsonbody import BROKEN


def read_answer(body: bytes, origin: str, new_id: str) -> Answer:
    """Raises Unreadable."""
    try:
        return _read(body, origin, new_id)
    except BROKEN as error:
        raise Unreadable(f"no generateContent response: {error}") from None


def _read(body: bytes, origin: str, new_id: str) -> Answer:
    strays = Strays()
    found = ANSWER.read(body, strays)
    blocked = read_block(found.promptFeedback)
    extras: list[Extra] = []
    if given(found.promptFeedback):
        extras.append(Extra(NAME, "promptFeedback", found.promptFeedback))
    usage = usage_watched(found.usageMetadata, strays)
    candidate, raw = first(found, body, extras)
    if candidate is None:
        if blocked is None:
            raise Unreadable("a response with neither candidates nor promptFeedback.blockReason")
        return Answer(
            id=found.responseId or "",
            model=found.modelVersion or "",
            parts=(),
            finish=blocked,
            usage=usage,
            extras=tuple(extras),
            losses=strays.losses,
        )
    parts = _parts(candidate, raw, origin, new_id)
    called = any(isinstance(part, ToolCall) for part in parts)
    extras += kept(candidate)
    finish = read_finish(candidate.finishReason, candidate.finishMessage, called) if candidate.finishReason else Finish("stop")
    logprobs = read_logprobs(candidate.logprobsResult, strays)
    return Answer(
        id=found.responseId or "",
        model=found.modelVersion or "",
        parts=parts,
        finish=finish,
        usage=usage,
        logprobs=logprobs,
        extras=tuple(extras),
        losses=strays.losses,
    )


def first(found: Response, body: bytes, extras: list[Extra]) -> tuple[Candidate | None, msgspec.Raw]:
    """The candidate of index 0 with its own bytes; the others become extras."""
    candidates = found.candidates or []
    if not candidates:
        return None, msgspec.Raw()
    raws = raw_candidates(body)
    answer: Candidate | None = None
    own = msgspec.Raw()
    for candidate, raw in zip(candidates, raws, strict=True):
        if candidate.index:
            extras.append(Extra(NAME, f"candidates[{candidate.index}]", raw))
        else:
            answer, own = candidate, raw
    return answer, own


def kept(candidate: Candidate) -> list[Extra]:
    found = ((name, getattr(candidate, name)) for name in KEPT)
    return [Extra(NAME, name, raw) for name, raw in found if given(raw)]


def _parts(candidate: Candidate, raw: msgspec.Raw, origin: str, new_id: str) -> tuple[Part, ...]:
    found = candidate.content.parts if candidate.content is not None else None
    parts: list[Part] = []
    calls = 0
    raws: list[msgspec.Raw] = []
    for index, each in enumerate(found or ()):
        if each.functionCall is not None:
            calls += 1
        part = part_of(each, origin, f"call_{new_id}_{calls}")
        if part is None:
            raws = raws or raw_parts(raw)
            part = opaque(raws[index])
        if part != Text(""):  # how many answers end; it says nothing
            parts.append(part)
    last = next((place for place in reversed(range(len(parts))) if isinstance(parts[place], Text)), None)
    if last is not None and (citations := _cited(candidate, parts[last])):
        parts[last] = msgspec.structs.replace(parts[last], citations=citations)
    return tuple(parts)


def _cited(candidate: Candidate, part: Part) -> tuple[Citation, ...]:
    return read_citations(candidate.groundingMetadata, part.text) if isinstance(part, Text) else ()


def part_of(found: WirePart, origin: str, call_id: str) -> Part | None:
    """One part, None for one of no kind that is known here."""
    signature = found.thoughtSignature
    seal = None if signature is None else Seal(origin, signature)
    if found.functionCall is not None:
        call = found.functionCall
        return ToolCall(call.id or call_id, call.name, arguments(call), seal=seal)
    if len(found.executableCode) or len(found.codeExecutionResult):
        return None
    if found.inlineData is not None:
        blob = found.inlineData
        return _medium(InlineData(blob.mimeType, blob.data), blob.mimeType, seal)
    if found.fileData is not None:
        file = found.fileData
        uri, mime = file.fileUri, file.mimeType
        source: Source = Url(uri, mime) if uri.startswith(("http://", "https://")) else FileId(uri, NAME, mime)
        return _medium(source, mime or "", seal)
    if found.text is None and seal is None:
        return None
    return Thinking(found.text or "", seal=seal) if found.thought else Text(found.text or "", seal=seal)


def arguments(call: Call) -> str:
    """No arguments on the wire are an empty object, which this JSON leaves out. Raises Unreadable."""
    if call.partialArgs and given(call.partialArgs):
        raise Unreadable("arguments of a call in pieces, which nobody asked for")
    try:
        args = str(call.args, "utf-8")  # pyright: ignore[reportArgumentType]  # it is a buffer
    except UnicodeDecodeError:
        raise Unreadable("arguments of a call that are no UTF-8") from None
    return args if args and args != "null" else "{}"


def _medium(source: Source, mime: str, seal: Seal | None) -> Part:
    made = medium(source, mime)
    return msgspec.structs.replace(made, seal=seal) if seal is not None and "seal" in made.__struct_fields__ else made


def opaque(raw: msgspec.Raw) -> Opaque:
    names = list(msgspec.json.decode(raw, type=dict[str, msgspec.Raw]))
    what = next((name for name in names if not name.startswith("thought")), "part")
    return Opaque(NAME, what[:64], msgspec.Raw(bytes(raw)), "candidates[].content.parts[]")


# ---- errors -----------------------------------------------------------------------------------------------------------------------------


class _Error(msgspec.Struct):
    code: int | str | None = None
    message: str = ""
    status: str | None = None
    details: msgspec.Raw = msgspec.Raw()


class _Wrapped(msgspec.Struct):
    error: _Error | str


class _Violation(msgspec.Struct):
    field: str | None = None


class _Detail(msgspec.Struct):
    fieldViolations: list[_Violation] = []


_decode_error: Callable[[bytes], _Wrapped | list[_Wrapped]] = msgspec.json.Decoder(_Wrapped | list[_Wrapped]).decode
_decode_details = msgspec.json.Decoder(list[_Detail]).decode


def read_error(status: int, body: bytes) -> ProviderError:
    """`{"error": {code, message, status, details}}`; a streaming route puts a list of one around it, and some proxies write the message
    alone. What is no such thing is an error without words."""
    try:
        found = _decode_error(body)
    except BROKEN:
        return ProviderError(status, "")
    listed = found if isinstance(found, list) else [found]
    if not listed:
        return ProviderError(status, "")
    error = listed[0].error
    if isinstance(error, str):
        return ProviderError(status, error)
    return ProviderError(status, error.message, error.status or "", _field(error.details))


def _field(details: msgspec.Raw) -> str | None:
    if not given(details):
        return None
    try:
        found = _decode_details(details)
    except BROKEN:
        return None
    return next((violation.field for detail in found for violation in detail.fieldViolations if violation.field), None)


def failure(raw: msgspec.Raw) -> tuple[str, int, str]:
    """Message, status and word of an error within a stream."""
    try:
        error = msgspec.json.decode(raw, type=_Error)
    except BROKEN:
        return bytes(raw).decode(errors="replace")[:500], 0, ""
    return error.message, error.code if isinstance(error.code, int) else 0, error.status or ""
