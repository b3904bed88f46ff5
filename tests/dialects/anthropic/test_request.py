"""A request for a provider of the same dialect: what is refused, what is read, what leaves, and which bytes change."""

from __future__ import annotations

import json

import pytest

from halley.chat.model import Seal
from halley.chat.seals import labelled
from halley.dialects.anthropic.request import outbound, peek
from halley.errors import Condition, Refused
from halley.wire import jsonbody

HI = [{"role": "user", "content": "hi"}]
FOREIGN = labelled(Seal("gemini:g", "c2ln"))


def ask(**fields: object) -> bytes:
    return json.dumps({"model": "m", "max_tokens": 9, "messages": HI, **fields}).encode()


def refusal(body: bytes) -> Refused:
    with pytest.raises(Refused) as caught:
        peek(body)
    assert caught.value.condition is Condition.INVALID
    return caught.value


@pytest.mark.parametrize(
    "fields, param",
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages[].content"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[].content"),
        ({"messages": [{"role": "pirate", "content": "x"}]}, "messages[].role"),
        ({"messages": [{"role": "user", "content": [{"text": "a"}]}]}, "messages[].content[].type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "messages[0].content[0].source"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": 5}}]}]},
            "messages[].content[].source.url",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "image"}]}]}]},
            "messages[0].content[0].content[0].source",
        ),
        ({"stream": "true"}, "stream"),
        ({"temperature": 1.1}, "temperature"),
        ({"temperature": -0.1}, "temperature"),
        ({"top_p": 2}, "top_p"),
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"system": 5}, "system"),
    ],
)
def test_a_bad_field_is_named(fields: dict[str, object], param: str) -> None:
    found = refusal(ask(**fields))
    assert found.param is not None and found.param.replace("[...]", "[]").replace("[0]", "[]") == param.replace("[0]", "[]")


@pytest.mark.parametrize("body", [b"", b" ", b"[]", b'{"model":"m"', b'{"messages":[]}', b'{"model":"m","model":"n"}'])
def test_a_body_that_is_no_request_is_refused(body: bytes) -> None:
    refusal(body)


PICTURE = '{"type":"image","source":{"type":"url","url":"https://a.test/x.png"}}'


@pytest.mark.parametrize(
    "text",
    [
        '{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}],"Max_Tokens":5}',
        '{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[PICTURE],"content":"hi"}]}',
        '{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"image","source":{"url":"http://10.0.0.1/","url":"x"}}]}]}',
    ],
)
def test_what_another_reader_could_take_for_something_else_is_refused(text: str) -> None:
    refusal(text.replace("PICTURE", PICTURE).encode())


@pytest.mark.parametrize(
    "block",
    [
        '{"type":"tool_result","tool_use_id":"t","content":[PICTURE],"content":"x"}',
        '{"type":"tool_result","tool_use_id":"t","content":[{"type":"image","source":{"url":"a","Url":"b"}}]}',
        '{"type":"document","source":{"type":"content","content":[PICTURE],"Content":"x"}}',
        '{"type":"tool_result","tool_use_id":"t","content":[{"url":"x"}]}',
        '{"type":"image","source":{"type":"url","\\u0075rl":"https://a.test/","url":"http://10.0.0.1/"}}',
    ],
)
def test_a_key_that_is_given_twice_where_addresses_stand_is_refused(block: str) -> None:
    body = '{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[BLOCK]}]}'
    refusal(body.replace("BLOCK", block).replace("PICTURE", PICTURE).encode())


def test_a_tool_may_be_called_with_any_keys() -> None:
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {"id": 1, "ID": 2, "url": "x"}}
    assert peek(ask(messages=[{"role": "assistant", "content": [call]}])).image_urls == []


def test_a_thread_is_refused_with_its_code() -> None:
    assert refusal(ask(thread={"type": "create"})).code == "thread_unsupported_request"


@pytest.mark.parametrize(
    "fields",
    [
        {"stream": None},
        {"max_tokens": 0},
        {"x_future_option": {"a": 1}},
        {"system": [{"type": "text", "text": "s"}]},
        {"messages": [*HI, {"role": "system", "content": "be brief"}]},
        {"messages": [{"role": "user", "content": [{"type": "hologram", "hologram": 1}]}]},
        {"messages": [{"role": "user", "content": [{"type": "search_result", "source": "https://a.test", "content": [1]}]}]},
        {"messages": [{"role": "user", "content": [{"type": "web_search_tool_result", "content": {"type": "error"}}]}]},
        {"tools": [{"name": "f", "input_schema": {}}], "thinking": {"type": "adaptive"}, "context_management": {"edits": []}},
    ],
)
def test_what_the_dialect_allows_or_does_not_know_passes(fields: dict[str, object]) -> None:
    seen = peek(ask(**fields))
    assert (seen.model, seen.n, seen.wants_usage) == ("m", 1, True)


def test_a_count_needs_no_cap() -> None:
    body = json.dumps({"model": "m", "messages": HI}).encode()
    assert peek(body, b"/v1/messages/count_tokens").cap is None
    assert peek(ask(stream=True)).cap == 9 and peek(ask(stream=True)).stream


def test_every_url_that_a_provider_would_fetch_is_seen() -> None:
    def source(name: str) -> dict[str, object]:
        return {"type": "url", "url": f"https://a.test/{name}"}

    blocks = [
        {"type": "image", "source": source("1")},
        {"type": "document", "source": source("2")},
        {"type": "Image", "source": source("3")},
        {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "image", "source": source("4")}]},
        {"type": "document", "source": {"type": "content", "content": [{"type": "image", "source": source("5")}]}},
    ]
    seen = peek(ask(messages=[{"role": "user", "content": blocks}]))
    assert seen.image_urls == [f"https://a.test/{name}" for name in "12345"]


def test_a_body_leaves_as_the_bytes_that_came_when_nothing_must_change() -> None:
    body = ask(temperature=0.5)
    assert outbound(body, peek(body), "m", None, "max_tokens") is body


def test_only_the_name_and_a_needed_cap_are_changed() -> None:
    body = b'{"model": "m",  "max_tokens":9, "messages":[{"role":"user","content":"hi"}] }'
    assert outbound(body, peek(body), "theirs", 300, "max_completion_tokens") == (
        b'{"model": "theirs",  "max_tokens":300, "messages":[{"role":"user","content":"hi"}] }'
    )


THOUGHT = '{"type":"thinking","thinking":"h","signature":"SEAL"}'.replace("SEAL", FOREIGN)
REDACTED = '{"type":"redacted_thinking", "data":"SEAL"}'.replace("SEAL", FOREIGN)
OWN = '{"type":"thinking","thinking":"h","signature":"c2ln"}'
SAID = '{"type":"text","text":"it says halley.1.gemini:g.x"}'


@pytest.mark.parametrize(
    "content, kept",
    [
        (f"[{THOUGHT},{SAID}]", f"[{SAID}]"),
        (f"[ {SAID} , {THOUGHT} ]", f"[ {SAID} ]"),
        (f"[{OWN}, {THOUGHT}, {REDACTED},\n {SAID}]", f"[{OWN}, \n {SAID}]"),
        (f"[{SAID}, {THOUGHT}, {REDACTED}]", f"[{SAID}]"),
        (f"[{OWN},{SAID}]", f"[{OWN},{SAID}]"),
        ('"halley.1.gemini:g.x"', '"halley.1.gemini:g.x"'),
    ],
)
@pytest.mark.parametrize("placed", [False, True])
def test_thinking_that_another_maker_sealed_is_cut_out_and_no_other_byte(content: str, kept: str, placed: bool) -> None:
    messages = '[{"role":"user","content":"hi"}, {"role":"assistant" ,"content":CONTENT},\n\n{"content":"x","role":"user"}]'
    frame = '{"model":"m","max_tokens":9, "messages":MESSAGES}'.replace("MESSAGES", messages)
    body = frame.replace("CONTENT", content).encode()
    seen = peek(body)
    if placed and isinstance(seen.members, dict):
        seen.members = jsonbody.places(body, seen.members)
    found = outbound(body, seen, "m", None, "max_tokens")
    json.loads(found)
    assert "".join(found.decode().split()) == "".join(frame.replace("CONTENT", kept).split())
    assert found == body or content != kept


def test_a_message_of_nothing_else_goes_too() -> None:
    before, after = '{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}', "]}"
    body = f'{before},{{"role":"assistant","content":[{THOUGHT},{REDACTED}]}}{after}'.encode()
    assert outbound(body, peek(body), "m", None, "") == (before + after).encode()
