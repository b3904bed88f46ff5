"""An answer that goes to the client as it came: what it used, whether it is one, and the marks by which its stream is metered."""

from __future__ import annotations

import re

import msgspec

from halley.chat.meter import Meter
from halley.chat.peek import Peek
from halley.chat.usage import Usage, Whole
from halley.dialects.gemini.answer import NO_TOOLS, SEARCHED, decode, given, read_usage, searches
from halley.wire import sse
from halley.wire.jsonbody import BROKEN


class _Reply(msgspec.Struct):
    usageMetadata: msgspec.Raw = msgspec.Raw()
    candidates: msgspec.Raw = msgspec.Raw()
    promptFeedback: msgspec.Raw = msgspec.Raw()


_decode_reply = msgspec.json.Decoder(_Reply).decode
_CONTENT = re.compile(rb'"text"\s*:\s*"(?!")([^"\\]*(?:\\.[^"\\]*)*)"')
_THOUGHT = b'"thought"'
_NOTHING = re.compile(rb"\x00")  # is in no JSON


def read_whole(body: bytes) -> Whole | None:
    """Usage of a whole answer, nonsense counting as absent; None when the body is not a JSON object. A blocked prompt is answered."""
    try:
        reply = _decode_reply(body)
    except BROKEN:
        return None
    return Whole(read_usage(reply.usageMetadata, searches(reply.candidates)), given(reply.candidates) or given(reply.promptFeedback))


def content_bytes(body: bytes) -> int:
    """Bytes of generated text and arguments in a whole answer: what an own count is made from when no usage was reported."""
    try:
        found = decode(body)
    except BROKEN:
        return sum(len(match[1]) for match in _CONTENT.finditer(body))
    parts = [part for candidate in found.candidates or () if candidate.content is not None for part in candidate.content.parts or ()]
    return sum(len((part.text or "").encode()) + (0 if part.functionCall is None else len(part.functionCall.args)) for part in parts)


class GeminiMeter(Meter):
    """Every frame has a report, of all that was used so far: the last one of a read is enough. The end is a finish reason, or the reason
    why the prompt was blocked; no marker follows it."""

    __slots__ = ("_searched",)

    usage_word = b'"usageMetadata"'
    usage_begun = (b'"usageMetadata":{', b'"usageMetadata": {')
    usage_key = re.compile(rb'"usageMetadata"\s*:\s*\{')
    finish = re.compile(rb'"(?:finishReason|blockReason)"\s*:\s*"[^"]')
    done_word = b"\x00"
    done_frame = _NOTHING
    error = re.compile(rb'^data: ?\[?\s*\{\s*"error"\s*:', re.MULTILINE)
    content = _CONTENT

    def __init__(self, *, strip: bool) -> None:
        super().__init__(strip=strip)
        self._searched = NO_TOOLS

    def kind_of(self, frame: bytes, content: re.Match[bytes]) -> tuple[bytes, bytes]:
        # A thought is a text with one more field.
        return (_THOUGHT, b"") if _THOUGHT in frame else (b'"text"', _THOUGHT)

    def usage_of(self, frame: bytes) -> Usage | None:
        try:
            reply = _decode_reply(sse.payload(frame))
        except BROKEN:
            return None
        self._searched = searches(reply.candidates) or self._searched
        return read_usage(reply.usageMetadata, self._searched)

    def _with_usage(self, complete: bytes, late: int) -> bytes:
        # What was searched is said once, in the last frame or in one before it.
        searched = complete.find(SEARCHED)
        start = sse.frame_start(complete, complete.rfind(self.usage_word) if searched < 0 else searched)
        self._read_usage(complete[start:])
        return complete


def meter(seen: Peek, *, strip: bool) -> GeminiMeter:
    """The meter of the stream that answers this request. Nothing is ever taken out: clients of this dialect expect usage."""
    return GeminiMeter(strip=False)
