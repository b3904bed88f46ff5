"""An answer of any dialect as a response of this one."""

from __future__ import annotations

import json

import pytest
from msgspec import Raw
from msgspec.structs import replace

from halley.chat.model import (
    Answer,
    Audio,
    Citation,
    Extra,
    FileId,
    Finish,
    Image,
    Inline,
    Opaque,
    Part,
    Refusal,
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Url,
)
from halley.chat.usage import Usage
from halley.dialects.gemini import DOORS
from tests.dialects.gemini.samples import ASKED, FOREIGN, ORIGIN, OWN, answer_bytes, cases, plain

ANSWER = Answer(id="id1", model="theirs", parts=(Text("hello"),), finish=Finish("stop"), usage=Usage(input=3, output=2))


def written(**fields: object) -> tuple[dict, list[str]]:
    made = DOORS.write_answer(replace(ANSWER, **fields), ASKED)
    return json.loads(made.body), [loss.path for loss in made.losses]


def parts(*given: Part) -> tuple[list[object], list[str]]:
    body, lost = written(parts=given)
    return body["candidates"][0]["content"]["parts"], lost


def test_a_whole_response() -> None:
    assert written() == (
        {
            "candidates": [{"content": {"parts": [{"text": "hello"}], "role": "model"}, "finishReason": "STOP", "index": 0}],
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5},
            "modelVersion": "mine",
            "responseId": "id1",
        },
        [],
    )


@pytest.mark.parametrize(
    ("part", "made", "lost"),
    [
        (Thinking("t"), {"text": "t", "thought": True}, []),
        (
            Thinking("", seal=Seal("anthropic:theirs", "EpoBCkgICBAB/w==")),
            {"text": "", "thought": True, "thoughtSignature": FOREIGN},
            [],
        ),
        (Text("t", seal=Seal(ORIGIN, OWN)), {"text": "t", "thoughtSignature": OWN}, []),
        (Refusal("no"), {"text": "no"}, []),
        (ToolCall("c", "f", '{"a": 1}'), {"functionCall": {"id": "c", "name": "f", "args": {"a": 1}}}, []),
        (ToolCall("", "f", ""), {"functionCall": {"name": "f", "args": {}}}, []),
        (ToolCall("c", "f", '{"a'), {"functionCall": {"id": "c", "name": "f", "args": {"arguments": '{"a'}}}, ["f"]),
        (ToolCall("c", "f", "x = 1", free=True), {"functionCall": {"id": "c", "name": "f", "args": {"input": "x = 1"}}}, []),
        (Image(Inline("image/png", "QQ==")), {"inlineData": {"mimeType": "image/png", "data": "QQ=="}}, []),
        (Image(Url("https://a.example/b.png")), {"fileData": {"fileUri": "https://a.example/b.png"}}, []),
        (Image(FileId("files/a", "gemini", "image/png")), {"fileData": {"fileUri": "files/a", "mimeType": "image/png"}}, []),
        (Audio(Inline("audio/wav", "QQ=="), "spoken", at="a"), {"inlineData": {"mimeType": "audio/wav", "data": "QQ=="}}, ["a"]),
        (Audio(None, "spoken"), {"text": "spoken"}, []),
        (Opaque("gemini", "x", Raw(b'{"executableCode": {}}')), {"executableCode": {}}, []),
        (Opaque("anthropic", "x", Raw(b"{}"), at="a"), {"text": ""}, ["a"]),
        (ToolResult("c", (), at="a"), {"text": ""}, ["a"]),
        (Audio(None, at="a"), {"text": ""}, ["a"]),
    ],
)
def test_parts(part: Part, made: object, lost: list[str]) -> None:
    assert parts(part) == ([made], lost)


def test_ends_sources_and_extras() -> None:
    body, lost = written(
        parts=(Text("a b", citations=(Citation("https://a.example", "A", 0, 1),)),),
        finish=Finish("stop_sequence", "END", "met"),
        extras=(
            Extra("anthropic", "container", Raw(b"{}")),
            Extra("gemini", "safetyRatings", Raw(b"[]")),
            Extra("gemini", "candidates[1]", Raw(b"{}")),
        ),
        logprobs=Raw(b'{"content": [{"token": "a", "logprob": -1.0}]}'),
    )
    candidate = body["candidates"][0]
    assert (candidate["finishReason"], candidate["finishMessage"], candidate["safetyRatings"]) == ("STOP", "met", [])
    assert candidate["groundingMetadata"]["groundingChunks"] == [{"web": {"uri": "https://a.example", "title": "A"}}]
    assert candidate["logprobsResult"] == {"chosenCandidates": [{"token": "a", "logProbability": -1.0}]}
    assert lost == ["container", "candidates[1]", "stop"]
    assert written(logprobs=Raw(b"[]"))[1] == ["logprobs"]


@pytest.mark.parametrize("case", cases("answers"))
def test_what_was_read_is_written_and_read_as_the_same(case: str) -> None:
    found = DOORS.read_answer(answer_bytes(case), ORIGIN, "abc")
    made = DOORS.write_answer(found, ASKED)
    assert not made.losses
    again = DOORS.read_answer(made.body, ORIGIN, "abc")
    assert plain(replace(again, model=found.model)) == plain(found)


def test_a_blocked_prompt_has_no_candidates() -> None:
    found = DOORS.read_answer(answer_bytes("blocked_prompt"), ORIGIN, "abc")
    assert "candidates" not in json.loads(DOORS.write_answer(found, ASKED).body)
