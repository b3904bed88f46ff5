"""A whole answer as the response object that clients need: every required field, the settings of the ask, the output."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from halley.chat.doors import Asked
from halley.chat.model import Answer, Ask, Extra, Finish, Text, Turn
from halley.chat.usage import Usage
from halley.dialects.openai_responses import DOORS
from tests.dialects.openai_responses.test_read_answer import FIXTURES, ORIGIN, answer
from tests.dialects.openai_responses.test_read_ask import ask
from tests.dialects.openai_responses.test_read_stream import same

# OpenAI's published schema (Response, required), and what clients were seen to need beside it.
REQUIRED = {
    "id", "object", "created_at", "error", "incomplete_details", "instructions", "metadata", "model", "output", "parallel_tool_calls",
    "temperature", "tool_choice", "tools", "top_p", "status", "usage", "text", "reasoning", "store", "truncation", "previous_response_id",
}  # fmt: skip
PLAIN = Ask(model="m", turns=(Turn("user", (Text("hi"),)),))


def write(made: Answer, asked: Ask = PLAIN) -> dict[str, Any]:
    return json.loads(DOORS.write_answer(made, Asked(asked, "mine", "0123", 1767225600)).body)


TEXT = Answer(id="up", model="up-model", parts=(Text("hello"),), finish=Finish("stop"), usage=Usage(1, 2))


def test_every_field_that_is_required_is_there() -> None:
    made = write(TEXT)
    assert made.keys() >= REQUIRED
    assert (made["id"], made["object"], made["created_at"], made["model"], made["status"]) == (
        "resp_0123",
        "response",
        1767225600,
        "mine",
        "completed",
    )
    assert made["output"] == [
        {
            "id": "msg_0123_0",
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "hello", "annotations": [], "logprobs": []}],
        }
    ]


def test_the_settings_of_the_ask_are_echoed() -> None:
    made = write(TEXT, ask("system"))
    assert made["instructions"] == "Answer in one word."
    made = write(TEXT, ask("codex"))
    assert made["reasoning"] == {"effort": "medium", "summary": "auto"}
    assert (made["store"], made["prompt_cache_key"], made["text"]["verbosity"]) == (False, "0199a5a0-1111-7000-8000-000000000000", "medium")
    assert [tool["type"] for tool in made["tools"]] == ["function", "custom", "namespace", "web_search"]
    assert made["tools"][2]["description"] == "Work with files."
    made = write(TEXT, ask("choice_some"))
    assert made["tool_choice"]["type"] == "allowed_tools"
    assert made["tools"][1]["strict"] is None
    made = write(TEXT, ask("schema"))
    assert made["text"]["format"]["name"] == "moon"
    made = write(TEXT, ask("unknown_field"))
    assert (made["truncation"], made["max_tool_calls"]) == ("auto", 3)
    assert "future_field" not in made


def test_the_tier_is_the_providers_word() -> None:
    assert write(msgspec.structs.replace(TEXT, service_tier="flex"))["service_tier"] == "flex"


def test_what_has_no_place_is_lost() -> None:
    made = msgspec.structs.replace(TEXT, extras=(Extra("gemini", "groundingMetadata", msgspec.Raw(b"{}")),))
    written = DOORS.write_answer(made, Asked(PLAIN, "mine", "0123", 1))
    assert [loss.path for loss in written.losses] == ["groundingMetadata"]


@pytest.mark.parametrize("name", sorted(path.stem for path in FIXTURES.glob("*.json") if ".to-" not in path.name))
def test_an_answer_that_goes_over_comes_back_the_same(name: str) -> None:
    one = answer(name)
    other = DOORS.read_answer(DOORS.write_answer(one, Asked(PLAIN, "mine", "0123", 1)).body, ORIGIN, "new")
    if name == "arguments_empty":
        assert other.parts != one.parts  # an empty object is said, because clients parse it
    else:
        assert same(one, other)
    assert (one.logprobs is None) == (other.logprobs is None)
