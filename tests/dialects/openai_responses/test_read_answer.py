"""A provider's whole answer: its parts, why it ended, what it used; and what is no answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from halley.chat.doors import Unreadable
from halley.chat.model import Answer, Finish, Image, Inline, Opaque, Refusal, Seal, Text, Thinking, ToolCall
from halley.chat.usage import Usage
from halley.dialects.openai_responses import DOORS

FIXTURES = Path(__file__).parents[3] / "fixtures" / "answers" / "openai_responses"
ORIGIN = "openai_responses:p"


def answer(name: str) -> Answer:
    return DOORS.read_answer((FIXTURES / f"{name}.json").read_bytes(), ORIGIN, "new")


def read(**fields: Any) -> Answer:
    return DOORS.read_answer(
        json.dumps({"id": "resp_1", "model": "m", "status": "completed", "output": [], **fields}).encode(), ORIGIN, "new"
    )


def test_a_text() -> None:
    found = answer("text")
    assert found == Answer(
        id="resp_68f0c0ffee",
        model="gpt-5.4-2026-03-05",
        parts=(Text("Titan is one."),),
        finish=Finish("stop"),
        usage=Usage(20, 12, 4),
        created=1767225600,
        service_tier="default",
    )


@pytest.mark.parametrize(
    ("name", "parts", "finish"),
    [
        ("tool", (ToolCall("call_1", "get_weather", '{"city":"Oslo"}'),), Finish("tool")),
        ("arguments_empty", (ToolCall("call_1", "list_files", ""),), Finish("tool")),
        ("arguments_broken", (ToolCall("call_1", "get_weather", '{"city": "Os'),), Finish("tool")),
        ("tool_free", (ToolCall("call_1", "apply_patch", "*** Begin Patch\n-teh\n+the\n*** End Patch", True),), Finish("tool")),
        ("tool_namespace", (ToolCall("call_1", "read", '{"path":"a.txt"}', namespace="files"),), Finish("tool")),
        ("refusal", (Refusal("I cannot help with that."),), Finish("refusal")),
        ("filter", (Text("Well,"),), Finish("filter")),
        ("length", (Text("1, 2, 3, 4, 5, 6,"),), Finish("length")),
        (
            "thinking",
            (
                Thinking(
                    "**Counting primes**\n\n2, 3, 5, 7, 11, 13, 17, 19, 23, 29.",
                    summary=True,
                    id="rs_68f0c0ffee",
                    seal=Seal(ORIGIN, "rs_68f0c0ffee:gAAAAABpVwq0c2VjcmV0"),
                ),
                Text("Ten."),
            ),
            Finish("stop"),
        ),
    ],
)
def test_parts_and_why_it_ended(name: str, parts: tuple[object, ...], finish: Finish) -> None:
    found = answer(name)
    assert found.parts == parts
    assert found.finish == finish


def test_thinking_of_an_open_model_is_no_summary() -> None:
    found = read(output=[{"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}])
    assert found.parts == (Thinking("hm"),)


def test_a_tool_that_the_provider_ran_stays_as_it_is_and_a_drawing_is_an_image() -> None:
    search, text = answer("web_search").parts
    assert isinstance(search, Opaque)
    assert search.what == "an item of type web_search_call"
    assert isinstance(text, Text)
    assert text.citations[0].url == "https://en.wikipedia.org/wiki/Christiaan_Huygens"
    drawing = {"type": "image_generation_call"}
    drawn, not_yet = read(output=[{**drawing, "result": "iVBORw0KGgoAAAANSUhEUgAA"}, drawing]).parts
    assert drawn == Image(Inline("image/png", "iVBORw0KGgoAAAANSUhEUgAA"))
    assert isinstance(not_yet, Opaque)


def test_log_probabilities_stand_beside_the_answer() -> None:
    found = answer("logprobs").logprobs
    assert found is not None
    assert json.loads(bytes(found))["content"][0]["token"] == "Titan"


def test_reasoning_is_a_part_of_what_was_used_and_nonsense_is_no_report() -> None:
    assert answer("thinking").usage == Usage(20, 80, 4, reasoning=64)
    assert read(usage=None).usage is None
    assert read(usage={"input_tokens": -1, "output_tokens": "x"}).usage is None
    assert read().usage is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"output":null}',
        b'{"error":{"message":"no"}}',
        b'{"output":[],"status":"failed","error":{"code":"server_error","message":"no"}}',
        b'{"output":[],"status":"in_progress"}',
        b'{"output":[{"type":"message"}]}',
        b'{"output":[{}]}',
    ],
)
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(Unreadable):
        DOORS.read_answer(body, ORIGIN, "new")
