"""Whole answers and errors of a provider."""

from __future__ import annotations

import json

import pytest

from halley.chat.doors import ProviderError, Unreadable
from halley.chat.model import Answer, Audio, Finish, Image, Inline, Opaque, Seal, Text, Thinking, ToolCall
from halley.chat.usage import Usage
from halley.dialects.gemini import DOORS
from tests.dialects.gemini.samples import ORIGIN, OWN, answer_bytes, cases, plain


def answer(case: str) -> Answer:
    return DOORS.read_answer(answer_bytes(case), ORIGIN, "abc")


def test_text() -> None:
    found = answer("text")
    assert found.parts == (Text("Bonjour, ça va ?"),)
    assert (found.id, found.model, found.finish) == ("pJ8naYb2KvTVz7IP0bKj6Ak", "gemini-2.5-flash", Finish("stop"))
    assert found.usage == Usage(input=8, output=3)
    assert [extra.at for extra in found.extras] == ["safetyRatings"]


def test_calls_without_ids_get_one_each() -> None:
    found = answer("tools_parallel")
    calls = [part for part in found.parts if isinstance(part, ToolCall)]
    assert [(call.id, call.name, json.loads(call.arguments)) for call in calls] == [
        ("call_abc_1", "get_weather", {"city": "Paris"}),
        ("call_abc_2", "get_weather", {"city": "Rome", "unit": "C"}),
    ]
    assert found.finish == Finish("tool")
    assert [part.id for part in answer("arguments_empty").parts if isinstance(part, ToolCall)] == ["fc_7"]


def test_thoughts_and_seals() -> None:
    assert answer("thinking").parts == (Thinking("**Comparing**\n\nThe second is larger."), Text("No.", seal=Seal(ORIGIN, OWN)))
    assert answer("thinking").usage == Usage(input=8, output=63, cache_read=4, reasoning=60)
    assert [getattr(part, "seal", None) for part in answer("thinking_tool").parts] == [None, Seal(ORIGIN, OWN), None]


def test_citations_are_of_the_text() -> None:
    found = answer("citations")
    (text,) = found.parts
    assert isinstance(text, Text)
    assert [(each.title, text.text[each.start : each.end]) for each in text.citations] == [
        ("uefa.com", "España won the Euro 2024."),
        ("bbc.co.uk", "España won the Euro 2024."),
        ("bbc.co.uk", "It beat England 2–1."),
    ]
    assert [extra.at for extra in found.extras] == ["groundingMetadata"] and found.usage == Usage(input=48, output=14)


def test_media_and_opaque_parts() -> None:
    image = answer("image_out").parts[1]
    assert isinstance(image, Image) and isinstance(image.source, Inline) and image.source.mime == "image/png"
    assert answer("audio_out").parts == (Audio(Inline("audio/L16;codec=pcm;rate=24000", "AAECAwQFBgc=")),)
    assert [part.what for part in answer("code_execution").parts if isinstance(part, Opaque)] == ["executableCode", "codeExecutionResult"]


def test_ends() -> None:
    assert answer("length").finish == Finish("length")
    assert answer("filter").finish == Finish("filter") and answer("filter").parts == ()
    blocked = answer("blocked_prompt")
    assert blocked.finish == Finish("filter", detail="The prompt was blocked.", word="PROHIBITED_CONTENT") and blocked.parts == ()


def test_log_probabilities_are_in_the_shape_that_crosses() -> None:
    found = answer("logprobs").logprobs
    assert found is not None
    assert [each["token"] for each in plain(found)["content"]] == ["Yes", "."]


def test_other_candidates_go_along_as_they_came() -> None:
    body = {
        "candidates": [{"index": 1, "content": {"parts": [{"text": "b"}]}}, {"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"}]
    }
    found = DOORS.read_answer(json.dumps(body).encode(), ORIGIN, "abc")
    assert found.parts == (Text("a"),) and [extra.at for extra in found.extras] == ["candidates[1]"]


@pytest.mark.parametrize("case", cases("answers"))
def test_every_sample_is_read(case: str) -> None:
    assert answer(case).model


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"candidates": []}',
        b'{"candidates": 1}',
        b'{"promptFeedback": {}}',
        b'{"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "partialArgs": []}}]}}]}',
    ],
)
def test_what_is_no_answer_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        DOORS.read_answer(body, ORIGIN, "abc")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (
            b'{"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}}',
            ProviderError(429, "slow down", "RESOURCE_EXHAUSTED"),
        ),
        (b'[{"error": {"code": 429, "message": "slow down"}}]', ProviderError(429, "slow down")),
        (
            b'{"error": {"message": "bad", "status": "INVALID_ARGUMENT", "details": [{"fieldViolations": [{"field": "contents"}]}]}}',
            ProviderError(429, "bad", "INVALID_ARGUMENT", "contents"),
        ),
        (b'{"error": "no"}', ProviderError(429, "no")),
        (b"[]", ProviderError(429, "")),
        (b"<html>", ProviderError(429, "")),
        (b'{"error": {"message": "x", "details": {}}}', ProviderError(429, "x")),
    ],
)
def test_errors(body: bytes, error: ProviderError) -> None:
    assert DOORS.read_error(429, body) == error
