"""What a client of Responses asks, as the vocabulary has it: every fixture is read, and each thing lands where it belongs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from halley.chat import seals
from halley.chat.model import (
    Ask,
    Audio,
    Choice,
    Citation,
    Document,
    Extra,
    FileId,
    Format,
    FreeTool,
    Function,
    Hosted,
    Image,
    Inline,
    Location,
    Opaque,
    Reasoning,
    Refusal,
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
    Url,
    WebSearch,
)
from halley.dialects.openai_responses import DOORS
from halley.errors import Refused

RESULT = {"type": "function_call_output", "call_id": "c"}
FIXTURES = Path(__file__).parents[3] / "fixtures" / "asks" / "openai_responses"


def ask(name: str) -> Ask:
    return DOORS.read_ask((FIXTURES / f"{name}.json").read_bytes())


def read(**fields: object) -> Ask:
    return DOORS.read_ask(json.dumps({"model": "m", **fields}).encode())


def parts(*content: object) -> tuple[object, ...]:
    return read(input=[{"role": "user", "content": list(content)}]).turns[0].parts


def at(extras: tuple[Extra, ...]) -> dict[str, object]:
    return {extra.at: json.loads(bytes(extra.raw)) for extra in extras}


@pytest.mark.parametrize("name", sorted(path.stem for path in FIXTURES.glob("*.json") if ".to-" not in path.name))
def test_every_fixture_is_read(name: str) -> None:
    assert ask(name).turns


def test_a_string_is_what_the_user_says() -> None:
    assert ask("text").turns == (Turn("user", (Text("Name one moon of Saturn.", at="input"),), at="input"),)


def test_instructions_come_before_the_input() -> None:
    first, second = ask("system").turns
    assert first == Turn("system", (Text("Answer in one word.", at="instructions"),), at="instructions")
    assert second.role == "user"


def test_system_and_developer_are_told_apart() -> None:
    assert [turn.role for turn in ask("system_midway").turns] == ["user", "assistant", "system", "user"]
    assert [turn.role for turn in ask("developer").turns] == ["developer", "user"]


def test_what_the_model_said_in_a_row_is_one_turn_and_so_are_results() -> None:
    user, said, results = ask("tools_parallel").turns
    assert user.at == "input[0]"
    assert said == Turn(
        "assistant",
        (
            ToolCall("call_1a", "get_weather", '{"city":"Oslo"}', at="input[1]"),
            ToolCall("call_1b", "get_time", '{"city":"Oslo"}', at="input[2]"),
        ),
        at="input[1]",
    )
    assert [part.id for part in results.parts if isinstance(part, ToolResult)] == ["call_1a", "call_1b"]
    loop = ask("tool_loop").turns
    assert [turn.role for turn in loop] == ["user", "assistant", "user", "assistant", "user", "user"]
    assert [type(part) for part in loop[1].parts] == [Text, ToolCall]


def test_images_files_and_sound() -> None:
    where = "input[0].content[0]"
    assert parts({"type": "input_image", "image_url": "https://example.org/a.png", "detail": "high"}) == (
        Image(Url("https://example.org/a.png"), "high", at=where),
    )
    assert parts({"type": "input_image", "image_url": "data:image/png;base64,AAAA"}) == (Image(Inline("image/png", "AAAA"), at=where),)
    assert parts({"type": "input_image", "file_id": "file-1"}) == (Image(FileId("file-1", "openai_responses"), at=where),)
    assert parts({"type": "input_file", "file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"}) == (
        Document(Inline("application/pdf", "AAAA"), "a.pdf", at=where),
    )
    assert parts({"type": "input_file", "file_data": "JVBERi0xLjQK"}) == (Document(Inline("application/pdf", "JVBERi0xLjQK"), at=where),)
    assert parts({"type": "input_file", "file_url": "https://example.org/a.pdf"}) == (Document(Url("https://example.org/a.pdf"), at=where),)
    assert parts({"type": "input_file", "file_id": "file-1"}) == (Document(FileId("file-1", "openai_responses"), at=where),)
    assert parts({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}}) == (
        Audio(Inline("audio/mpeg", "AAAA"), at=where),
    )


def test_a_part_or_an_item_of_another_kind_stays_as_it_is() -> None:
    (part,) = parts({"type": "input_smell", "x": 1})
    assert isinstance(part, Opaque)
    assert (part.what, part.at) == ("a content part of type input_smell", "input[0].content[0]")
    said, asked = read(input=[{"type": "web_search_call", "id": "ws_1"}, {"type": "computer_call_output", "output": {}}]).turns
    assert (said.role, asked.role) == ("assistant", "user")
    (reference,) = read(input=[{"type": "item_reference", "id": "msg_1"}]).turns
    assert isinstance(reference.parts[0], Opaque)


def test_citations_and_refusals_of_earlier_answers() -> None:
    said = ask("citations").turns[1].parts[0]
    assert isinstance(said, Text)
    (citation,) = said.citations
    assert (citation.title, citation.start, citation.end) == ("Christiaan Huygens", 0, 7)
    assert isinstance(citation, Citation)
    assert citation.raw is not None
    assert ask("refusal").turns[1].parts == (Refusal("I cannot help with that.", at="input[1].content[0]"),)


def test_tools_of_every_kind() -> None:
    (free,) = ask("tool_free").tools
    assert isinstance(free, FreeTool)
    assert free.grammar is not None
    spaced = ask("tool_namespace")
    assert [(tool.namespace, tool.name, tool.at) for tool in spaced.tools if isinstance(tool, Function)] == [
        ("files", "read", "tools[0].tools[0]"),
        ("files", "write", "tools[0].tools[1]"),
    ]
    assert at(spaced.extras) == {"tools[0].description": "Work with files."}
    assert ask("web_search").tools == (WebSearch("low", allowed=("wikipedia.org",), location=Location("NL", city="Leiden"), at="tools[0]"),)
    assert [tool.what for tool in ask("hosted_tools").tools if isinstance(tool, Hosted)] == ["file_search", "mcp"]
    (bare,) = ask("arguments_empty").tools
    assert isinstance(bare, Function)
    assert bare.schema is None


@pytest.mark.parametrize(
    ("name", "choice"),
    [
        ("choice_none", Choice("none", at="tool_choice")),
        ("choice_any", Choice("any", at="tool_choice")),
        ("choice_one", Choice("any", ("get_weather",), at="tool_choice")),
        ("choice_some", Choice("any", ("get_weather", "get_time"), at="tool_choice")),
        ("tools_parallel", Choice(None, (), False, at="parallel_tool_calls")),
        ("tool", Choice("auto", (), True, at="tool_choice")),
    ],
)
def test_the_choice_of_tools(name: str, choice: Choice) -> None:
    assert ask(name).choice == choice


def test_a_choice_of_a_tool_that_the_provider_runs_is_an_extra() -> None:
    found = read(input="x", tool_choice={"type": "file_search"})
    assert found.choice is None
    assert at(found.extras) == {"tool_choice": {"type": "file_search"}}


def test_the_shape_of_the_text() -> None:
    found = ask("schema")
    assert found.format is not None
    assert (found.format.kind, found.format.name, found.format.strict, found.verbosity) == ("schema", "moon", True, "low")
    assert ask("json").format == Format("json")
    assert read(input="x", text={"format": {"type": "text"}}).format is None


def test_thinking_that_comes_back() -> None:
    thought = ask("thinking_replayed").turns[1].parts[0]
    assert isinstance(thought, Thinking)
    assert (thought.id, thought.summary, thought.text[:12]) == ("rs_1", True, "**Counting p")
    assert thought.seal == Seal("openai_responses:", "gAAAAABpVwq0c2VjcmV0")
    assert ask("thinking").reasoning == Reasoning("medium", show="auto")
    assert ask("effort").reasoning == Reasoning("minimal")


def test_a_signature_of_another_dialect_goes_back_to_its_part() -> None:
    def item(word: str, value: str) -> dict[str, object]:
        return {"type": "reasoning", "summary": [], "encrypted_content": seals.labelled(Seal("gemini:g", f"{word}:{value}"))}

    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    result = {"type": "function_call_output", "call_id": "c", "output": "x"}
    said, results = read(input=[call, result, item("last", "l")]).turns
    assert isinstance(said.parts[0], ToolCall)
    assert (said.parts[0].seal, len(results.parts)) == (Seal("gemini:g", "l"), 1)
    (turn,) = read(input=[item("redacted", "r"), item("next", "n"), call, {"role": "assistant", "content": "x"}, item("last", "l")]).turns
    thought, called, text = turn.parts
    assert isinstance(thought, Thinking)
    assert (thought.redacted, thought.seal) == (True, Seal("gemini:g", "r"))
    assert isinstance(called, ToolCall)
    assert called.seal == Seal("gemini:g", "n")
    assert isinstance(text, Text)
    assert text.seal == Seal("gemini:g", "l")


def test_settings() -> None:
    found = ask("metadata")
    assert (found.metadata, found.end_user, found.cache_key, found.service_tier, found.store) == (
        {"team": "astronomy"},
        "user-42",
        "moons",
        "flex",
        False,
    )
    assert (ask("sampling").temperature, ask("sampling").top_p, ask("sampling").max_output) == (0.3, 0.9, 200)
    assert ask("logprobs").logprobs == 2
    assert read(input="x", include=["message.output_text.logprobs"]).logprobs == 0
    assert ask("system").stream


def test_nothing_unknown_is_lost() -> None:
    assert at(ask("unknown_field").extras) == {"truncation": "auto", "max_tool_calls": 3, "future_field": {"a": 1}}
    found = read(
        previous_response_id="resp_1",
        input=[{"role": "assistant", "content": "x", "phase": "commentary"}],
        reasoning={"effort": "low", "mode": "pro"},
        text={"moon": 1},
        include=["reasoning.encrypted_content", "web_search_call.results"],
        user="u",
        safety_identifier="s",
        background=False,
        truncation="disabled",
        prompt=None,
    )
    assert at(found.extras) == {
        "previous_response_id": "resp_1",
        "input[0].phase": "commentary",
        "reasoning.mode": "pro",
        "text.moon": 1,
        "include": ["web_search_call.results"],
        "user": "u",
    }


def test_what_codex_sends() -> None:
    found = ask("codex")
    assert [turn.role for turn in found.turns] == ["developer", "user", "assistant", "user"]
    assert [type(part) for part in found.turns[2].parts] == [Thinking, ToolCall]
    assert [type(tool) for tool in found.tools] == [Function, FreeTool, Function, Function, WebSearch]
    assert at(found.extras).keys() == {"tools[2].description", "tools[3].external_web_access", "client_metadata"}


def test_a_drawing_that_comes_back_is_an_image() -> None:
    (turn,) = read(input=[{"type": "image_generation_call", "id": "ig_1", "result": "iVBORw0KGgoAAAANSUhEUgAA"}]).turns
    assert turn.parts == (Image(Inline("image/png", "iVBORw0KGgoAAAANSUhEUgAA"), at="input[0]"),)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": [{"role": "chief", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text"),
        ({"input": [{"type": "function_call", "name": "f"}]}, "input[0].call_id"),
        (
            {"input": [{"type": "function_call_output", "call_id": "c", "output": [{"type": "refusal", "refusal": "x"}]}]},
            "input[0].output[0]",
        ),
        ({"input": "x", "tools": [{"type": "function"}]}, "tools[0].name"),
        ({"input": "x", "tool_choice": "sometimes"}, "tool_choice"),
        ({"input": "x", "reasoning": {"effort": "huge"}}, "reasoning.effort"),
        ({"input": 5}, "input"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, object], param: str) -> None:
    with pytest.raises(Refused) as refusal:
        read(**fields)
    assert refusal.value.param == param
