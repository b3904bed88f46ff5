"""A request that passes as it came: what is checked of it, and the few bytes that change."""

from __future__ import annotations

import json
import time

import pytest

from halley.dialects.gemini.request import addressed, outbound, peek
from halley.errors import Refused
from halley.wire import jsonbody
from tests.dialects.gemini.samples import FIXTURES, FOREIGN, OWN, cases

PATH = b"/v1beta/models/gemini-2.5-flash:generateContent"
HELLO = b'"contents": [{"parts": [{"text": "hello"}]}]'


@pytest.mark.parametrize(
    ("path", "name", "operation"),
    [
        (PATH, "gemini-2.5-flash", "generateContent"),
        (b"/v1/models/models/x:streamGenerateContent?alt=sse", "x", "streamGenerateContent"),
        (b"/v1beta/models/tunedModels/a-1:generateContent", "tunedModels/a-1", "generateContent"),
        (b"/v1beta/models/local%2Fecho%3Afast:generateContent", "local/echo:fast", "generateContent"),
        (b"/v1beta/models/a/b:c:countTokens", "a/b:c", "countTokens"),
    ],
)
def test_the_path_names_the_model_and_the_operation(path: bytes, name: str, operation: str) -> None:
    assert addressed(path) == (name, operation)


@pytest.mark.parametrize(
    "path", [b"/v1beta/models/:generateContent", b"/v1beta/models/x", b"/v1beta", b"/v1beta/models/" + b"x" * 300 + b":a"]
)
def test_a_path_without_a_model_is_refused(path: bytes) -> None:
    with pytest.raises(Refused) as refused:
        peek(b"{" + HELLO + b"}", path)
    assert refused.value.param == "model"


@pytest.mark.parametrize("case", cases("asks"))
def test_every_sample_passes(case: str) -> None:
    body = (FIXTURES / "asks" / "gemini" / f"{case}.json").read_bytes()
    seen = peek(body, PATH)
    assert (seen.model, seen.stream, seen.wants_usage) == ("gemini-2.5-flash", False, True)
    assert outbound(body, seen, "other", None, "") == body


def test_what_routing_and_billing_need() -> None:
    body = (FIXTURES / "asks" / "gemini" / "snake_case.json").read_bytes()
    assert peek(body, b"/v1beta/models/x:streamGenerateContent").stream
    assert peek(body, PATH).cap == 300
    two = b'{"contents": {"parts": {"file_data": {"file_uri": "https://a.example/b"}}}, "generation_config": {"candidateCount": "2"}}'
    assert (peek(two, PATH).n, peek(two, PATH).image_urls, peek(two, PATH).cap) == (2, ["https://a.example/b"], None)
    assert peek((FIXTURES / "asks" / "gemini" / "image_url.json").read_bytes(), PATH).image_urls == ["https://example.com/cat.jpg"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"[]", None),
        (b"{}", "contents"),
        (b'{"contents": []}', "contents"),
        (b'{"contents": "hello"}', "contents"),
        (b'{"contents": [{"role": "assistant", "parts": []}]}', "contents[0].role"),
        (b'{"contents": [{"parts": [{"text": 1}]}]}', "contents[0].parts[0].text"),
        (b'{"contents": [{"parts": [{"inlineData": "x"}]}]}', "contents[0].parts[0].inlineData"),
        (b'{"contents": [{"parts": [{"inline_data": []}]}]}', "contents[0].parts[0].inline_data"),
        (b"{" + HELLO + b', "generationConfig": {"temperature": 3}}', "generationConfig.temperature"),
        (b"{" + HELLO + b', "generation_config": {"max_output_tokens": 0}}', "generation_config.max_output_tokens"),
        (b"{" + HELLO + b', "generationConfig": {"topP": 1.1}}', "generationConfig.topP"),
        (b"{" + HELLO + b', "generationConfig": {"candidateCount": 0}}', "generationConfig.candidateCount"),
        (b"{" + HELLO + b', "generationConfig": {"maxOutputTokens": 1, "max_output_tokens": 9}}', "generationConfig.maxOutputTokens"),
        (b"{" + HELLO + b', "generationConfig": {"maxOutputTokens": 1, "maxOutputTokens": 9}}', None),
        (b"{" + HELLO + b', "generationConfig": {}, "generation_config": {}}', None),
        (b"{" + HELLO + b', "GenerationConfig": {}}', None),
        (b"{" + HELLO + b", " + HELLO + b"}", None),
        (b'{"contents": [{"parts": [{"fileData": {"fileUri": "https://a.example", "fileUri": "https://b.example"}}]}]}', None),
        (b'{"contents": [{"parts": [{"file_data": {"file_uri": "https://a.example", "file_uri": "https://b.example"}}]}]}', None),
    ],
)
def test_a_fault_is_named_and_what_two_readers_could_read_in_two_ways_is_one(body: bytes, param: str | None) -> None:
    with pytest.raises(Refused) as refused:
        peek(body, PATH)
    assert refused.value.param == param


@pytest.mark.parametrize("placed", [False, True])
@pytest.mark.parametrize(
    ("config", "capped"),
    [
        (b"", b', "generationConfig": {"maxOutputTokens":7}'),
        (b', "generationConfig": null', b', "generationConfig": {"maxOutputTokens":7}'),
        (b', "generationConfig": {"topK": 1 }', b', "generationConfig": {"topK": 1 ,"maxOutputTokens":7}'),
        (b', "generationConfig": {"max_output_tokens": 9}', b', "generationConfig": {"max_output_tokens": 7}'),
        (b', "generation_config": {}', b', "generation_config": {"max_output_tokens":7}'),
        (b', "generation_config": {"maxOutputTokens": 9, "x": 1}', b', "generation_config": {"maxOutputTokens": 7, "x": 1}'),
    ],
)
def test_a_cap_is_set_in_the_callers_spelling(config: bytes, capped: bytes, placed: bool) -> None:
    body = b"{" + HELLO + config + b"}"
    seen = peek(body, PATH)
    if placed:
        seen.members = jsonbody.places(body, dict(jsonbody.members(body)))
    made = outbound(body, seen, "m", 7, "")
    assert json.loads(made) == json.loads(b"{" + HELLO + capped + b"}")
    if config:
        assert made == b"{" + HELLO + capped + b"}"


def test_a_cap_is_set_beside_a_schema_of_any_size() -> None:
    schema = json.dumps({"type": "STRING", "description": "x" * 9000}).encode()
    body = b"{" + HELLO + b', "generationConfig": {"responseSchema": ' + schema + b"}}"
    seen = peek(body, PATH)
    seen.members = jsonbody.places(body, dict(jsonbody.members(body)))
    assert json.loads(outbound(body, seen, "m", 7, ""))["generationConfig"] == {"responseSchema": json.loads(schema), "maxOutputTokens": 7}


def test_seals_of_other_makers_are_cut_out_and_own_ones_stay() -> None:
    foreign = f'{{"contents": [{{"parts": [{{"text": "a", "thoughtSignature": "{FOREIGN}"}}, '
    body = f'{foreign}{{"text": "b", "thoughtSignature": "{OWN}"}}]}}]}}'.encode()
    made = outbound(body, peek(body, PATH), "m", None, "")
    assert made == f'{{"contents": [{{"parts": [{{"text": "a"}}, {{"text": "b", "thoughtSignature": "{OWN}"}}]}}]}}'.encode()


def test_much_white_space_takes_no_time() -> None:
    member = f'"thoughtSignature": "{FOREIGN}"'
    body = b'{"contents": [{"parts": [{"text": "a",' + b" " * 1_000_000 + member.encode() + b"\n" * 1_000_000 + b"}]}]}"
    began = time.process_time()
    assert len(outbound(body, peek(body, PATH), "m", None, "")) < 1_100_000
    assert time.process_time() - began < 2
