"""What an answer used, whole or read along as a stream, at every split."""

from __future__ import annotations

import json

import pytest

from halley.chat.usage import Usage, Whole
from halley.dialects.anthropic.meter import MessagesMeter, content_bytes, read_whole


def frame(kind: str, **fields: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def text(said: str) -> bytes:
    return frame("content_block_delta", index=0, delta={"type": "text_delta", "text": said})


BEGIN = frame(
    "message_start", message={"stop_reason": None, "usage": {"input_tokens": 3, "cache_read_input_tokens": 5, "output_tokens": 1}}
)
HEAD = BEGIN + frame("content_block_start", index=0, content_block={"type": "text", "text": ""})
SAID = text('"usage":{} and message_stop') + frame("ping") + text("two") + frame("content_block_stop", index=0)
DELTA = frame("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 9})
END = frame("message_stop")
STREAM = HEAD + SAID + DELTA + END
ERROR = frame("error", error={"type": "overloaded_error", "message": "Overloaded"})


def run(stream: bytes, *cuts: int) -> tuple[bytes, MessagesMeter]:
    meter = MessagesMeter(strip=False)
    out, start = b"", 0
    for cut in (*cuts, len(stream)):
        if cut > start:
            out += meter.feed(stream[start:cut])
        start = cut
    return out + meter.rest(), meter


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_the_stream_passes_and_is_counted_wherever_it_is_split(newline: bytes) -> None:
    stream = STREAM.replace(b"\n", newline)
    for cut in range(len(stream) + 1):
        out, meter = run(stream, cut)
        assert out == stream
        assert (meter.usage, meter.finished, meter.failed, meter.done) == (Usage(8, 9, cache_read=5), True, False, True)


def test_the_stream_is_counted_byte_by_byte() -> None:
    out, meter = run(STREAM, *range(1, len(STREAM)))
    assert (out, meter.usage, meter.finished) == (STREAM, Usage(8, 9, cache_read=5), True)


@pytest.mark.parametrize("cuts", [(), (len(HEAD) + 20_000,)])
def test_what_the_start_said_counts_in_a_read_of_any_length(cuts: tuple[int, ...]) -> None:
    stream = HEAD + text("a" * 100) * 300 + DELTA + END
    assert run(stream, *cuts)[1].usage == Usage(8, 9, cache_read=5)


def test_the_last_report_is_cumulative() -> None:
    last = {"input_tokens": 4, "cache_read_input_tokens": 6, "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 2}}
    stream = HEAD + SAID + frame("message_delta", delta={"stop_reason": "max_tokens"}, usage=last) + END
    assert run(stream)[1].usage == Usage(10, 9, cache_read=6, reasoning=2)


def test_a_stream_that_is_cut_has_a_partial_report() -> None:
    _, meter = run(HEAD + SAID)
    assert (meter.usage, meter.partial, meter.finished, meter.failed) == (None, Usage(8, 1, cache_read=5), False, False)
    # As long as the frames are alike, what was delivered is known to the byte; the frames of the block's ends are counted as such.
    _, meter = run(HEAD + text("abc") * 50)
    assert meter.delivered_bytes == 150


def test_an_error_is_the_end() -> None:
    out, meter = run(HEAD + SAID + ERROR)
    assert (out, meter.finished, meter.failed) == (HEAD + SAID + ERROR, False, True)


@pytest.mark.parametrize(
    "body, whole",
    [
        (b'{"type":"message","content":[],"usage":{"input_tokens":3,"output_tokens":4}}', Whole(Usage(3, 4), True)),
        (b'{"content":[],"usage":{"input_tokens":3}}', Whole(None, True)),
        (b'{"content":[],"usage":{"input_tokens":-3,"output_tokens":4}}', Whole(None, True)),
        (b'{"content":[],"usage":null}', Whole(None, True)),
        (b'{"type":"error","error":{}}', Whole(None, False)),
        (b'{"content":null}', Whole(None, False)),
        (b"[]", None),
        (b"<html>", None),
        (b'{"content":[],"usage":{"input_tokens":-1', None),
    ],
)
def test_a_whole_answer_is_read(body: bytes, whole: Whole | None) -> None:
    assert read_whole(body) == whole


def test_content_is_text_thinking_and_arguments() -> None:
    blocks = b'{"type":"thinking","thinking":"hm","signature":"s"},{"type":"text","text":"abc"},{"type":"tool_use","input":{"a":1}}'
    body = b'{"content":[%b]}' % blocks
    assert content_bytes(body) == 2 + 3 + 7


def test_tools_that_are_named_in_no_utf_8_are_no_report_and_not_the_end_of_the_answer() -> None:
    body = b'{"content":[],"usage":{"input_tokens":3,"output_tokens":2,"server_tool_use":{"web_\xff_requests":1}}}'
    whole = read_whole(body)
    assert whole is not None and whole.usage is not None and (whole.usage.input, whole.usage.output, whole.usage.tools) == (3, 2, {})
