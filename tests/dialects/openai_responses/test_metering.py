"""An answer that goes on as it came is metered: whole, as a stream in any pieces, cut, and broken."""

from __future__ import annotations

import pytest

from halley.chat.usage import Usage, Whole
from halley.dialects.openai_responses import content_bytes, read_whole
from halley.dialects.openai_responses.metering import ResponsesMeter
from halley.wire import sse
from tests.dialects.openai_responses.test_read_answer import FIXTURES
from tests.dialects.openai_responses.test_read_stream import NAMES, STREAMS


def stream(name: str) -> bytes:
    return (STREAMS / f"{name}.sse").read_bytes()


def test_a_whole_answer() -> None:
    body = (FIXTURES / "thinking.json").read_bytes()
    assert read_whole(body) == Whole(Usage(20, 80, 4, reasoning=64), True)
    assert read_whole(b'{"error":{}}') == Whole(None, False)
    assert read_whole(b'{"output":[],"usage":{"input_tokens":-1}}') == Whole(None, True)
    assert read_whole(b"[]") is None
    assert content_bytes((FIXTURES / "text.json").read_bytes()) == len("Titan is one.")
    assert content_bytes(b"x") == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_passes_unchanged_and_is_metered_at_every_split(name: str) -> None:
    data = stream(name)
    for split in range(0, len(data), max(len(data) // 60, 1)):
        meter = ResponsesMeter(strip=False)
        assert meter.feed(data[:split]) + meter.feed(data[split:]) == data
        assert meter.finished
        assert meter.done
        assert not meter.failed
        assert meter.usage is not None
        assert meter.usage.input == 20


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_that_is_cut_is_not_finished(name: str) -> None:
    *most, _ = sse.frames(stream(name))
    meter = ResponsesMeter(strip=False)
    meter.feed(b"".join(most))
    assert not meter.finished
    assert meter.usage is None


def test_what_is_delivered_is_what_the_deltas_said() -> None:
    frames = list(sse.frames(stream("text")))
    meter = ResponsesMeter(strip=False)
    for frame in frames[:-1]:
        meter.feed(frame)
    assert abs(meter.delivered_bytes - len("Titan is one.")) < 20
    assert ResponsesMeter(strip=False).delivered_bytes == 0


def test_a_last_event_that_is_larger_than_what_a_meter_keeps() -> None:
    data = stream("text")
    for status in (b"completed", b"failed"):
        end = b'event: response.%b\ndata: {"type":"response.%b","response":{"tools":"%b","usage":{"input_tokens":1,"output_tokens":2}}}\n\n'
        meter = ResponsesMeter(strip=False)
        meter.feed(data[: data.rindex(b"event: response.completed")])
        meter.feed(end % (status, status, b"x" * 30_000))
        assert meter.usage == Usage(1, 2)
        assert abs(meter.delivered_bytes - len("Titan is one.")) < 20
        assert meter.finished == (status == b"completed")
        assert meter.failed == (status == b"failed")


@pytest.mark.parametrize("behind", [b"x" * 30_000, b'{\\"usage\\":{}}' * 2000])
@pytest.mark.parametrize("pieces", [1, 7])
def test_usage_with_much_behind_it_is_read_and_not_counted_as_delivered(behind: bytes, pieces: int) -> None:
    data = stream("text")
    start = data.rindex(b"event: response.completed")
    response = b'{"usage":{"input_tokens":1,"output_tokens":2},"a":"%b"}' % behind
    whole = data[:start] + b'event: response.completed\ndata: {"type":"response.completed","response":%b}\n\n' % response
    meter = ResponsesMeter(strip=False)
    size = -(-len(whole) // pieces)
    for at in range(0, len(whole), size):
        meter.feed(whole[at : at + size])
    assert meter.usage == Usage(1, 2)
    assert meter.finished
    assert abs(meter.delivered_bytes - len("Titan is one.")) < 20


@pytest.mark.parametrize(
    "end",
    [
        b'event: error\ndata: {"type":"error","code":"server_error","message":"broken"}\n\n',
        b'data: {"type":"error","message":"broken"}\n\n',
        b'data: {"error":{"message":"broken"}}\n\n',
    ],
)
def test_an_error_is_no_end(end: bytes) -> None:
    *most, _ = sse.frames(stream("text"))
    meter = ResponsesMeter(strip=False)
    meter.feed(b"".join(most) + end)
    assert meter.failed
    assert not meter.finished


def test_a_failed_response_is_no_end() -> None:
    meter = ResponsesMeter(strip=False)
    meter.feed(stream("error_midway"))
    assert meter.failed
    assert not meter.finished


def test_the_words_of_an_end_within_an_answer_are_no_end() -> None:
    said = rb"event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{}}"
    frame = b'data: {"type":"response.output_text.delta","delta":"%b"}' % said
    meter = ResponsesMeter(strip=False)
    meter.feed(frame + b"\n\n")
    assert not meter.finished
    assert not meter.done
