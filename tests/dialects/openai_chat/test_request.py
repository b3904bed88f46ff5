"""OpenAI chat: what is refused, what is read, what leaves for the upstream, what the meter sees."""

import json

import pytest

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


def test_an_error_is_written_in_the_shape_the_sdks_read() -> None:
    status, _, body = openai_chat.write_error(Refused(Condition.UNKNOWN_MODEL, "no such model", param="model"), "req_1")
    assert status == 404
    error = {"message": "no such model", "type": "invalid_request_error", "param": "model", "code": "model_not_found"}
    assert json.loads(body) == {"error": error}
    event = openai_chat.write_error_event(Refused(Condition.UPSTREAM, "broken"), "req_1")
    assert event.startswith(b'data: {"error":{') and event.endswith(b"}\n\n")
