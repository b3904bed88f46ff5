"""What an OpenAI chat answer used, whole or read along as a stream."""

import json

import pytest

from halley.chat.usage import Usage
from halley.dialects.openai_chat import reply


def chunk(delta: dict[str, object] | None, **fields: object) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": None}]
    return b"data: " + json.dumps({"id": "c", "object": "chat.completion.chunk", "choices": choices, **fields}).encode() + b"\n\n"


FINISH = b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
USAGE = chunk(None, usage={"prompt_tokens": 12, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}})
DONE = b"data: [DONE]\n\n"
SAID = chunk({"role": "assistant", "content": ""}) + chunk({"content": 'say "usage":{} now'}) + chunk({"content": "two"}, usage=None)
BODY = SAID + FINISH


def run(stream: bytes, cuts: list[int], *, wants_usage: bool) -> tuple[bytes, reply.ChatMeter]:
    meter = reply.ChatMeter(strip=not wants_usage)
    out, start = b"", 0
    for cut in [*cuts, len(stream)]:
        if cut > start:
            out += meter.feed(stream[start:cut])
        start = cut
    return out + meter.rest(), meter


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@pytest.mark.parametrize("wants_usage", [True, False])
def test_every_split_point_passes_the_same_bytes_and_reads_the_same_usage(newline: bytes, wants_usage: bool) -> None:
    stream = (BODY + USAGE + DONE).replace(b"\n", newline)
    expected = stream if wants_usage else (BODY + DONE).replace(b"\n", newline)
    for cut in range(1, len(stream)):
        out, meter = run(stream, [cut], wants_usage=wants_usage)
        assert out == expected
        assert meter.usage == Usage(12, 3, cache_read=4)
        assert meter.finished and meter.done and not meter.failed


def test_byte_by_byte_is_no_different() -> None:
    stream = BODY + USAGE + DONE
    out, meter = run(stream, list(range(1, len(stream))), wants_usage=False)
    assert out == BODY + DONE
    assert meter.usage == Usage(12, 3, cache_read=4)


def test_usage_that_rides_on_a_content_frame_is_partial_and_stays() -> None:
    stream = chunk({"content": "x"}, usage={"prompt_tokens": 1, "completion_tokens": 1}) + FINISH + DONE
    for cut in range(1, len(stream)):
        out, meter = run(stream, [cut], wants_usage=False)
        assert out == stream
        assert (meter.usage, meter.partial) == (None, Usage(1, 1))


def test_usage_that_rides_on_the_finish_frame_or_comes_after_it_is_final() -> None:
    counts = {"prompt_tokens": 12, "completion_tokens": 3}
    finish = b'data: {"id":"c","choices":[{"delta":{},"finish_reason":"stop"}],"usage": ' + json.dumps(counts).encode() + b"}\n\n"
    growing = chunk({"content": "x"}, usage={"prompt_tokens": 12, "completion_tokens": 1})
    for end in (finish, FINISH + chunk({"content": ""}, usage=counts)):
        stream = growing + end + DONE
        for cut in range(1, len(stream)):
            out, meter = run(stream, [cut], wants_usage=False)
            assert out == stream
            assert (meter.usage, meter.partial) == (Usage(12, 3), Usage(12, 1))


@pytest.mark.parametrize("usage", ['"lots"', '{"prompt_tokens":-1,"completion_tokens":2}', '{"prompt_tokens":"1"}', "null", "{}"])
def test_usage_that_makes_no_sense_counts_as_absent(usage: str) -> None:
    stream = b'data: {"choices":[],"usage":' + usage.encode() + b"}\n\n"
    out, meter = run(stream, [], wants_usage=False)
    assert meter.usage is None
    assert out == stream
    whole = reply.read_whole(b'{"choices":[{}],"usage":' + usage.encode() + b"}")
    assert whole is not None and whole.usage is None and whole.answered


def test_zero_usage_is_a_report_not_an_absence() -> None:
    whole = reply.read_whole(b'{"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0}}')
    assert whole is not None and whole.usage == Usage(0, 0)


@pytest.mark.parametrize("stream, finished, failed", [(BODY, True, False), (chunk({"content": "x"}), False, False)])
def test_a_stream_without_an_end_is_not_finished(stream: bytes, finished: bool, failed: bool) -> None:
    _, meter = run(stream, [], wants_usage=False)
    assert (meter.finished, meter.failed) == (finished, failed)


def test_an_error_frame_makes_the_stream_failed_even_before_done() -> None:
    _, meter = run(chunk({"content": "x"}) + b'data: {"error": {"message": "no"}}\n\n' + DONE, [], wants_usage=False)
    assert meter.failed and not meter.finished


def test_delivered_bytes_are_the_content_without_the_json_around_it() -> None:
    stream = b"".join(chunk({"content": "12345678"}) for _ in range(50))
    _, meter = run(stream, [100, 333, 1000], wants_usage=False)
    assert meter.delivered_bytes == 400
    for newline in (b"\n", b"\r\n"):
        whole = (stream + FINISH + DONE).replace(b"\n", newline)
        _, meter = run(whole, [100, 333, len(whole) - 20], wants_usage=False)
        assert meter.delivered_bytes == 50 * 8, "the end's frames hold no content"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"1", b'{"usage":{"prompt_tokens":"1"},"choices":[{}', b'{"choices":'])
def test_a_whole_answer_that_is_no_json_object_is_not_an_answer(body: bytes) -> None:
    assert reply.read_whole(body) is None


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_frames_are_counted_whatever_the_line_ends(newline: bytes) -> None:
    stream = b"".join(chunk({"content": "12345678"}) for _ in range(50)).replace(b"\n", newline)
    _, meter = run(stream, [100, 333, 1000], wants_usage=False)
    assert meter.delivered_bytes in (49 * 8, 50 * 8), "with CR alone the last end is only known when more comes"


def test_text_that_looks_like_the_end_is_text() -> None:
    for text in ("[DONE]", "data: [DONE]", '"finish_reason":"stop"', "data: [DONE]\n\n"):
        stream = chunk({"content": "x"}) + chunk({"content": text})
        _, meter = run(stream, [], wants_usage=False)
        assert not meter.done
        assert not meter.finished


def test_an_unfinished_frame_is_never_handed_out() -> None:
    for wants_usage in (True, False):
        meter = reply.ChatMeter(strip=not wants_usage)
        assert meter.feed(BODY[:-9]) == BODY[: BODY[:-9].rindex(b"\n\n") + 2]


@pytest.mark.parametrize(
    "rest", [b'data: {"id":"x","choices":[],"usage":{"prompt_tok', b'data: {"choices":[{"ind', b"data: [DON", b"data", b'data: {"a":"\xe4']
)
def test_a_frame_that_was_cut_short_is_not_given_to_the_client(rest: bytes) -> None:
    meter = reply.ChatMeter(strip=True)
    meter.feed(b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n' + rest)
    assert (meter.finished, meter.rest()) == (True, b"")


def test_usage_without_its_blank_line_is_read_and_taken_out() -> None:
    meter = reply.ChatMeter(strip=True)
    meter.feed(b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n')
    meter.feed(b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":7}}')
    assert meter.rest() == b""
    assert meter.usage == Usage(3, 7)


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_an_error_is_the_end_and_no_end_marker_follows_it(line_end: bytes) -> None:
    meter = reply.ChatMeter(strip=True)
    error = b'data: {"error":{"message":"overloaded"}}' + line_end * 2
    assert meter.feed(error + b"data: [DONE]" + line_end * 2) == error
    assert (meter.finished, meter.failed) == (False, True)


@pytest.mark.parametrize("cut", [1, 2, 20])
def test_a_finish_reason_or_an_error_in_a_frame_that_was_cut_short_says_nothing(cut: int) -> None:
    for last in (FINISH, b'data: {"error":{"message":"overloaded"}}\n\n'):
        meter = reply.ChatMeter(strip=True)
        meter.feed(SAID + last[: -2 - cut])
        assert (meter.rest(), meter.finished, meter.failed) == (b"", False, False)
        assert meter.delivered_bytes > 0


def test_an_error_without_its_blank_line_is_given_to_the_client() -> None:
    error = b'data: {"error":{"message":"overloaded"}}'
    meter = reply.ChatMeter(strip=True)
    meter.feed(SAID + error)
    assert meter.rest() == error + b"\n\n"
    assert (meter.finished, meter.failed) == (False, True)
