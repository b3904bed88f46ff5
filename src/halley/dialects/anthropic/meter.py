"""What an answer of Anthropic Messages used, whole or read along as a stream whose bytes pass as they are.

In a stream the input is counted in `message_start` and the output, cumulative, in `message_delta`, which also has the reason of the end;
the stream is over with `message_stop`.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from halley.chat.meter import Meter
from halley.chat.usage import Usage, Whole
from halley.dialects.anthropic.finish import UsageWords, read_usage, usage_in
from halley.wire import sse
from halley.wire.jsonbody import BROKEN

# Generated text, thinking and arguments, also in pieces.
_CONTENT: Final = re.compile(rb'"(?:text|thinking|partial_json)"\s*:\s*"(?!")([^"\\]*(?:\\.[^"\\]*)*)"')


class _Reply(msgspec.Struct):
    usage: msgspec.Raw = msgspec.Raw()
    content: msgspec.Raw = msgspec.Raw()


class _Message(msgspec.Struct):
    usage: msgspec.Raw = msgspec.Raw()


class _Event(msgspec.Struct):
    message: _Message | None = None
    usage: msgspec.Raw = msgspec.Raw()


class _ToolUse(msgspec.Struct):
    input: msgspec.Raw = msgspec.Raw()


class _Calls(msgspec.Struct):
    content: list[_ToolUse]


_decode_reply: Final = msgspec.json.Decoder(_Reply).decode
_decode_event: Final = msgspec.json.Decoder(_Event).decode
_decode_calls: Final = msgspec.json.Decoder(_Calls).decode


def _whole_usage(words: UsageWords | None) -> Usage | None:
    """A report without its two figures is none."""
    if words is None or words.input_tokens is None or words.output_tokens is None:
        return None
    return read_usage(words)


def read_whole(body: bytes) -> Whole | None:
    """Usage of a non-streamed answer, nonsense counting as absent; None when the body is not a JSON object."""
    try:
        reply = _decode_reply(body)
    except BROKEN:
        return None
    return Whole(_whole_usage(usage_in(reply.usage)), bytes(reply.content).startswith(b"["))


def content_bytes(body: bytes) -> int:
    """Bytes of generated text and arguments in a whole answer: what an own count is made from when no usage was reported."""
    said = sum(len(match[1]) for match in _CONTENT.finditer(body))
    try:
        return said + sum(len(block.input) for block in _decode_calls(body).content)
    except BROKEN:
        return said


class MessagesMeter(Meter):
    """The stream of Messages: `usage` is the last report, with what the start said where it does not repeat it."""

    __slots__ = ("_begun", "_started")

    finish = re.compile(rb'"stop_reason"\s*:\s*"[^"]')
    done_word = b"message_stop"
    done_frame = re.compile(rb'^data: ?\{\s*"type"\s*:\s*"message_stop"', re.MULTILINE)
    error = re.compile(rb'^data: ?\{\s*"type"\s*:\s*"error"', re.MULTILINE)
    content = _CONTENT
    lines = 3

    def __init__(self, *, strip: bool) -> None:
        super().__init__(strip=strip)
        self._begun: Usage | None = None
        self._started = False

    def feed(self, data: bytes) -> bytes:
        complete = super().feed(data)
        if not self._started:
            self._find_start()
        return complete

    def usage_of(self, frame: bytes) -> Usage | None:
        if not self._started:
            self._find_start()
        try:
            event = _decode_event(sse.payload(frame))
        except BROKEN:
            return None
        if event.message is not None:
            return self._begun
        words = usage_in(event.usage)
        return None if words is None else read_usage(words, self._begun)

    def _find_start(self) -> None:
        """What the input was is said once, at the start; in a long read that is before the frames in which usage is looked for."""
        place = self._last.find(b'"message_start"')
        if place < 0:
            return
        self._started = True
        try:
            frame = next(sse.frames(self._last[sse.frame_start(self._last, place) :]))
            message = _decode_event(sse.payload(frame)).message
        except BROKEN:
            return
        words = None if message is None else usage_in(message.usage)
        self._begun = None if words is None else read_usage(words)
