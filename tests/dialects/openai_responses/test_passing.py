"""A request that goes on as it came: what is judged, what is seen, and that no other byte changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from halley.chat import seals
from halley.chat.model import Seal
from halley.dialects.openai_responses import outbound, peek
from halley.errors import Refused
from halley.wire import jsonbody

FIXTURES = Path(__file__).parents[3] / "fixtures" / "asks" / "openai_responses"


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", **fields}).encode()


@pytest.mark.parametrize("path", sorted(path for path in FIXTURES.glob("*.json") if ".to-" not in path.name), ids=lambda path: path.stem)
def test_every_fixture_is_taken_and_goes_on_as_it_is(path: Path) -> None:
    data = path.read_bytes()
    seen = peek(data)
    assert seen.wants_usage
    assert outbound(data, seen, seen.model, None, "max_tokens") == data


def test_what_routing_and_billing_need() -> None:
    image = {"type": "input_image", "image_url": "https://example.org/a.png"}
    file = {"type": "input_file", "file_url": "https://example.org/a.pdf"}
    result = {"type": "function_call_output", "call_id": "c", "output": [image]}
    odd = {"type": "odd_output", "output": [file]}
    seen = peek(body(input=[{"role": "user", "content": [image, file]}, result, odd], stream=True, max_output_tokens=50))
    assert (seen.model, seen.stream, seen.n, seen.cap) == ("m", True, 1, 50)
    assert seen.image_urls == [url for pair in ((image, file), (result["output"][0], file)) for each in pair for url in _urls(each)]


def _urls(part: Any) -> list[str]:
    return [part[key] for key in ("image_url", "file_url") if key in part]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "input"),
        ({"input": 5}, "input"),
        ({"input": "x", "model": ""}, "model"),
        ({"input": "x", "stream": "yes"}, "stream"),
        ({"input": "x", "temperature": 3}, "temperature"),
        ({"input": "x", "top_p": 2}, "top_p"),
        ({"input": "x", "max_output_tokens": 0}, "max_output_tokens"),
        ({"input": [{"content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "chief", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": 5}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, "input[0].call_id"),
        ({"input": [{"type": "function_call_output", "call_id": "c"}]}, "input[0].output"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(Refused) as refusal:
        peek(body(**fields))
    assert refusal.value.param == param


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"model":"m","model":"n","input":"x"}', b'{"model":"m","Input":"x","input":"y"}'])
def test_what_may_not_be_parsed_is_refused(data: bytes) -> None:
    with pytest.raises(Refused):
        peek(data)


def test_an_address_that_two_readers_could_read_differently_is_refused() -> None:
    twice = b'{"model":"m","input":[{"role":"user","content":[{"type":"input_image","image_url":"a","image_url":"b"}]}]}'
    with pytest.raises(Refused):
        peek(twice)


@pytest.mark.parametrize("key", ["previous_response_id", "conversation", "prompt"])
def test_a_request_may_go_on_from_what_is_kept(key: str) -> None:
    assert peek(body(**{key: "x"})).model == "m"


@pytest.mark.parametrize("key", ["previous_response_id", "conversation", "prompt"])
def test_a_request_cannot_go_on_from_null(key: str) -> None:
    with pytest.raises(Refused, match="input is missing"):
        peek(body(**{key: None, "input": None}))


def test_only_the_model_and_a_cap_change() -> None:
    data = b'{ "model" : "m", "input" : "x" , "odd":1}'
    seen = peek(data)
    assert outbound(data, seen, "n", 99, "max_tokens") == b'{ "model" : "n", "input" : "x" , "odd":1,"max_output_tokens":99}'
    placed = seen.__class__(seen.model, seen.stream, 1, None, True, [], jsonbody.places(data, jsonbody.members(data)))
    assert outbound(data, placed, "n", None, "") == b'{ "model" : "n", "input" : "x" , "odd":1}'


def test_what_another_dialect_sealed_is_cut_out() -> None:
    foreign = {"type": "reasoning", "summary": [], "encrypted_content": seals.labelled(Seal("anthropic:a", "thinking:x"))}
    own = {"type": "reasoning", "summary": [], "encrypted_content": "gAAA"}
    talk = {"role": "user", "content": 'what is halley.1.x:y.z, and "rs_"?'}
    made_here = {"type": "reasoning", "id": "rs_01M8BZBD3V0DEB74FA0000002F_0", "summary": [{"type": "summary_text", "text": "hm"}]}
    stored = {"type": "reasoning", "id": "rs_68f0c0ffee", "summary": []}
    data = body(input=[talk, foreign, made_here, made_here | {"encrypted_content": None}, own, stored])
    for members in (jsonbody.members(data), jsonbody.places(data, jsonbody.members(data))):
        seen = peek(data)
        seen.members = members
        assert json.loads(outbound(data, seen, "m", None, "")) == {"model": "m", "input": [talk, own, stored]}
    clean = body(input=[talk, own, stored])
    assert outbound(clean, peek(clean), "m", None, "") == clean
