"""An answer that goes to its client as it came: what it used, whether it is whole, and the marks by which its stream is metered.

The last event carries the whole response, which may be larger than what a meter keeps and has its usage anywhere (behind it may stand a
coding CLI's tools, 50 KB of them): what it says is kept when it comes. The events that repeat what the deltas said (`….done`, the end), or
say that something begins, are not counted as delivered.
"""

from __future__ import annotations

import re
from itertools import islice

import msgspec

from halley.chat.meter import Meter
from halley.chat.usage import Usage, Whole
from halley.dialects.openai_responses import replies
from halley.wire import jsonbody, sse
from halley.wire.jsonbody import BROKEN


class _Whole(msgspec.Struct):
    usage: msgspec.Raw = msgspec.Raw()
    output: msgspec.Raw = msgspec.Raw()
    service_tier: str | None = None


class _Response(msgspec.Struct):
    usage: msgspec.Raw = msgspec.Raw()
    output: msgspec.Raw = msgspec.Raw()
    service_tier: str | None = None


class _Event(msgspec.Struct):
    response: _Response | None = None


_decode_whole = msgspec.json.Decoder(_Whole).decode
_decode_event = msgspec.json.Decoder(_Event).decode
_STRING = rb'"(?!")([^"\\]*(?:\\.[^"\\]*)*)"'
_CONTENT = re.compile(rb'"(?:text|refusal|arguments|input)"\s*:\s*' + _STRING)
_DELTA = re.compile(rb'"delta"\s*:\s*' + _STRING)
_TYPE = rb'^data: ?\{[^{}\[\]]*?"type"\s*:\s*'
_FAILED = re.compile(rb"^event: ?response\.failed[ \t\r]*$|" + _TYPE + rb'"response\.failed"', re.MULTILINE)
_END = re.compile(
    rb"^event: ?response\.(?:completed|incomplete|failed)[ \t\r]*$|" + _TYPE + rb'"response\.(?:completed|incomplete|failed)"', re.MULTILINE
)
_ERROR = re.compile(
    rb"^event: ?(?:error|response\.failed)[ \t\r]*$|" + _TYPE + rb'"(?:error|response\.failed)"|^data: ?\{\s*"error"\s*:\s*[^\sn]',
    re.MULTILINE,
)
_KIND = re.compile(rb"response\.[a-z_.]+\.delta")
_REPEATS = re.compile(rb'(?:^event: ?|"type"\s*:\s*")response\.(?:[a-z_.]+\.(?:done|added)|completed|incomplete|failed)\b', re.MULTILINE)


def read_whole(body: bytes) -> Whole | None:
    """Usage of a non-streamed answer, nonsense counting as absent; None when the body is not a JSON object."""
    try:
        found = _decode_whole(body)
    except BROKEN:
        return None
    return Whole(replies.usage(found.usage, found.output, found.service_tier), bytes(found.output).startswith(b"["))


def content_bytes(body: bytes) -> int:
    """Bytes of generated text and arguments in a whole answer: what an own count is made from when no usage was reported."""
    try:
        output = bytes(jsonbody.members(body).get("output", b""))
    except jsonbody.Malformed:
        return 0
    return sum(len(match[1]) for match in _CONTENT.finditer(output))


class ResponsesMeter(Meter):
    """The stream of a response."""

    __slots__ = ("_ended_badly",)

    finish = _END
    done_word = b'"response":'
    done_frame = _END
    error_word = b"error"
    error = _ERROR
    content = _DELTA
    lines = 3

    def __init__(self, *, strip: bool) -> None:
        super().__init__(strip=strip)
        self._ended_badly: bool | None = None

    def feed(self, data: bytes) -> bytes:
        complete = super().feed(data)
        if self._overhead and (self.done or b".done" in complete or b".added" in complete):
            # Those before the first content of this read are aside already.
            for frame in islice(sse.frames(complete), max(self._aside_frames - self.frames, 0), None):
                if _REPEATS.search(frame) is not None:
                    self._aside_bytes += len(frame)
                    self._aside_frames += 1
        if self.done and self._ended_badly is None:
            self._ended_badly = _FAILED.search(complete) is not None
            if self.usage is None:
                self._with_usage(complete, 0)
        return complete

    def usage_of(self, frame: bytes) -> Usage | None:
        try:
            response = _decode_event(sse.payload(frame)).response
        except BROKEN:
            return None
        return None if response is None else replies.usage(response.usage, response.output, response.service_tier)

    @property
    def delivered_bytes(self) -> int:
        if not self._overhead:
            return 0
        return self._before + self._content_in(*self.counted)

    def kind_of(self, frame: bytes, content: re.Match[bytes]) -> tuple[bytes, bytes]:
        found = _KIND.search(frame)
        return (found[0], b"") if found is not None else super().kind_of(frame, content)

    @property
    def finished(self) -> bool:
        return super().finished and not self._ended_badly

    @property
    def failed(self) -> bool:
        return bool(self._ended_badly) or super().failed
