"""OpenAI chat: what is refused, what is read, what leaves for the upstream, what the meter sees."""

import json

import pytest

from halley.chat.usage import Usage
from halley.dialects import openai_chat
from halley.errors import Condition, Refused

HI = [{"role": "user", "content": "hi"}]


def ask(**fields: object) -> bytes:
    return json.dumps({"model": "m", "messages": HI, **fields}).encode()


def refusal(body: bytes) -> Refused:
    with pytest.raises(Refused) as caught:
        openai_chat.peek(body)
    assert caught.value.condition is Condition.INVALID
    return caught.value


@pytest.mark.parametrize(
    "fields, param",
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": ["a"]}, "model"),
        ({"model": "m" * 10_000}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "assistant", "content": None}]}, "messages[0].content"),
        ({"messages": [{"role": "pirate", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0].image_url"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": 5}}]}]},
            "messages[0].content[0].image_url.url",
        ),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"stream": "true"}, "stream"),
        ({"stream": True, "stream_options": []}, "stream_options"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": 2.1}, "temperature"),
        ({"max_tokens": "16"}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": 2**31}, "max_tokens"),
        ({"max_completion_tokens": -1}, "max_completion_tokens"),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
    ],
)
def test_a_bad_field_is_named(fields: dict[str, object], param: str) -> None:
    found = refusal(ask(**fields))
    assert found.param == param
    assert param.split(".")[-1].split("[")[0] in found.message


PICTURE = '{"type":"image_url","image_url":{"url":"https://a.test/x.png"}}'


@pytest.mark.parametrize(
    "text",
    [
        '{"model":"m","messages":[{"role":"user","content":"hi"}],"Max_Tokens":5}',
        '{"model":"m","messages":[{"role":"user","content":"hi"}],"MODEL":"x"}',
        '{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true,"stream_options":{"include_usage":true,"include_usage":false}}',
        '{"model":"m","messages":[{"role":"user","content":"hi"}],"stream_options":{"x":1,"x":1}}',
        '{"model":"m","messages":[{"role":"user","content":[PICTURE],"content":"hi"}]}',
        '{"model":"m","messages":[{"role":"user","content":[PICTURE,{"type":"image_url","type":"text","text":"a"}]}]}',
        '{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a","image_url":{"url":"http://10.0.0.1/","url":"x"}}]}]}',
        '{"model":"m","messages":[{"role":"user","content":[PICTURE],"Content":"hi"}]}',
    ],
)
def test_what_another_reader_could_take_for_something_else_is_refused(text: str) -> None:
    refusal(text.replace("PICTURE", PICTURE).encode())


@pytest.mark.parametrize("kind", ["text", "image_url", "Image_URL", "input_image"])
def test_a_picture_is_judged_whatever_its_part_calls_itself(kind: str) -> None:
    part = {"type": kind, "text": "a", "image_url": {"url": "https://a.test/x.png"}}
    assert openai_chat.peek(ask(messages=[{"role": "user", "content": [part]}])).image_urls == ["https://a.test/x.png"]


@pytest.mark.parametrize("body", [b"", b" ", b"[]", b'{"model":"m"', ask()[:-1] + b',"temperature":NaN}', b'{"messages":[]}'])
def test_a_body_that_is_no_request_is_refused(body: bytes) -> None:
    refusal(body)


@pytest.mark.parametrize(
    "fields",
    [
        {"stream": None},
        {"temperature": 1},
        {"x_future_option": {"a": 1}},
        {"messages": [{"role": "developer", "content": "x"}, *HI]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "hologram", "hologram": 1}]}]},
        {
            "messages": [
                *HI,
                {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
                {"role": "tool", "content": "r", "tool_call_id": "1"},
            ]
        },
        {"tools": [{"type": "function", "function": {"name": "f"}}], "response_format": {"type": "json_object"}},
    ],
)
def test_what_the_dialect_allows_or_does_not_know_passes(fields: dict[str, object]) -> None:
    openai_chat.peek(ask(**fields))


def test_both_caps_are_read_and_the_larger_counts() -> None:
    assert openai_chat.peek(ask(max_tokens=5)).cap == 5
    assert openai_chat.peek(ask(max_completion_tokens=7)).cap == 7
    assert openai_chat.peek(ask(max_tokens=9, max_completion_tokens=7)).cap == 9
    assert openai_chat.peek(ask()).cap is None


def test_a_body_leaves_as_the_bytes_that_came_when_nothing_must_change() -> None:
    body = ask(temperature=0.5)
    assert openai_chat.outbound(body, openai_chat.peek(body), "m", None, "max_tokens") is body


def test_only_the_name_the_usage_flag_and_a_needed_cap_are_changed() -> None:
    body = b'{"model": "m",  "stream":true, "stream_options":{"x": 1, "include_usage":false}, "messages":[{"role":"user","content":"e"}]}'
    sent = openai_chat.outbound(body, openai_chat.peek(body), "upstream-name", 300, "max_completion_tokens")
    assert sent == (
        b'{"model": "upstream-name",  "stream":true, "stream_options":{"x": 1, "include_usage":true}, '
        b'"messages":[{"role":"user","content":"e"}],"max_completion_tokens":300}'
    )


def chunk(delta: dict[str, object] | None, **fields: object) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": None}]
    return b"data: " + json.dumps({"id": "c", "object": "chat.completion.chunk", "choices": choices, **fields}).encode() + b"\n\n"


FINISH = b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
USAGE = chunk(None, usage={"prompt_tokens": 12, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}})
DONE = b"data: [DONE]\n\n"
SAID = chunk({"role": "assistant", "content": ""}) + chunk({"content": 'say "usage":{} now'}) + chunk({"content": "two"}, usage=None)
BODY = SAID + FINISH


def run(stream: bytes, cuts: list[int], *, wants_usage: bool) -> tuple[bytes, openai_chat.Meter]:
    options = {"stream_options": {"include_usage": True}} if wants_usage else {}
    meter = openai_chat.Meter(openai_chat.peek(ask(stream=True, **options)))
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
    finish = b'data: {"id":"c","choices":[{"delta":{},"finish_reason":"stop"}],"usage":' + json.dumps(counts).encode() + b"}\n\n"
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
    whole = openai_chat.read_whole(b'{"choices":[{}],"usage":' + usage.encode() + b"}")
    assert whole is not None and whole.usage is None and whole.answered


def test_zero_usage_is_a_report_not_an_absence() -> None:
    whole = openai_chat.read_whole(b'{"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0}}')
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
        assert meter.delivered_bytes == meter.frames * 8 - 16, "the end's frames hold no content"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"1", b'{"choices":'])
def test_a_whole_answer_that_is_no_json_object_is_not_an_answer(body: bytes) -> None:
    assert openai_chat.read_whole(body) is None


def test_an_error_is_written_in_the_shape_the_sdks_read() -> None:
    status, _, body = openai_chat.write_error(Refused(Condition.UNKNOWN_MODEL, "no such model", param="model"), "req_1")
    assert status == 404
    error = {"message": "no such model", "type": "invalid_request_error", "param": "model", "code": "model_not_found"}
    assert json.loads(body) == {"error": error}
    event = openai_chat.write_error_event(Refused(Condition.UPSTREAM, "broken"), "req_1")
    assert event.startswith(b'data: {"error":{') and event.endswith(b"}\n\n")


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_frames_are_counted_whatever_the_line_ends(newline: bytes) -> None:
    stream = b"".join(chunk({"content": "12345678"}) for _ in range(50)).replace(b"\n", newline)
    _, meter = run(stream, [100, 333, 1000], wants_usage=False)
    assert meter.frames in (49, 50), "with CR alone the last end is only known when more comes"
    assert meter.delivered_bytes == meter.frames * 8


def test_text_that_looks_like_the_end_is_text() -> None:
    for text in ("[DONE]", "data: [DONE]", '"finish_reason":"stop"', "data: [DONE]\n\n"):
        stream = chunk({"content": "x"}) + chunk({"content": text})
        _, meter = run(stream, [], wants_usage=False)
        assert not meter.done
        assert not meter.finished


def test_an_unfinished_frame_is_never_handed_out() -> None:
    for wants_usage in (True, False):
        meter = openai_chat.Meter(openai_chat.peek(ask(stream=True, stream_options={"include_usage": wants_usage})))
        assert meter.feed(BODY[:-9]) == BODY[: BODY[:-9].rindex(b"\n\n") + 2]
