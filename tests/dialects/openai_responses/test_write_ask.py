"""An ask at a provider that speaks Responses: what is said, what is lost, what is refused, and that reading it again gives the same ask."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halley.chat.doors import Target
from halley.chat.model import (
    Ask,
    Audio,
    Cache,
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
    Part,
    PlainText,
    Reasoning,
    Refusal,
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
    Url,
    Video,
    WebSearch,
)
from halley.dialects.openai_responses import DOORS
from halley.errors import Refused
from tests.dialects.openai_responses.test_read_ask import FIXTURES, ask

TARGET = Target("upstream", "openai_responses:p")
SPACED = {"type": "function", "name": "a", "namespace": "s"}
HELLO = Turn("user", (Text("hello"),))
MINE = Seal("openai_responses:p", "mine")


def write(made: Ask) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    written = DOORS.write_ask(made, TARGET)
    return json.loads(written.body), [(loss.path, loss.reason) for loss in written.losses]


def asking(*turns: Turn, **fields: Any) -> tuple[dict[str, Any], list[str]]:
    body, losses = write(Ask(model="m", turns=turns or (HELLO,), **fields))
    return body, [path for path, _ in losses]


def said(*parts: Part) -> tuple[list[dict[str, Any]], list[str]]:
    body, losses = asking(HELLO, Turn("assistant", parts))
    return body["input"][1:], losses


def test_nothing_is_kept_at_the_provider_and_its_reasoning_comes_encrypted() -> None:
    body, losses = asking()
    assert body == {
        "model": "upstream",
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}],
        "store": False,
        "include": ["reasoning.encrypted_content"],
    }
    assert not losses


def test_one_leading_system_turn_is_the_instructions_and_more_are_items() -> None:
    system = Turn("system", (Text("be brief"),))
    assert asking(system, HELLO)[0]["instructions"] == "be brief"
    for turns in ((system, system, HELLO), (HELLO, system), (system,), (Turn("developer", system.parts), HELLO)):
        body, _ = asking(*turns)
        assert "instructions" not in body
        assert len(body["input"]) == len(turns)


def test_settings_are_said_and_tuning_that_is_not_there_is_lost() -> None:
    body, losses = asking(
        temperature=0.5,
        top_p=0.9,
        max_output=100,
        metadata={"a": "b"},
        service_tier="flex",
        cache_key="k",
        end_user="u",
        verbosity="low",
        logprobs=3,
        stream=True,
        store=True,
    )
    assert not losses
    assert body["include"] == ["message.output_text.logprobs"]
    assert (body["max_output_tokens"], body["top_logprobs"], body["text"], body["user"], body["store"]) == (
        100,
        3,
        {"verbosity": "low"},
        "u",
        True,
    )
    _, losses = asking(
        stop=("x",),
        seed=7,
        presence_penalty=0.1,
        frequency_penalty=0.1,
        n=2,
        top_k=4,
        logit_bias=msgspec.Raw(b"{}"),
        service_tier="standard_only",
        modalities=("text", "audio"),
        cache=Cache("1h"),
    )
    assert set(losses) == {
        "stop", "seed", "presence_penalty", "frequency_penalty", "n", "top_k", "logit_bias", "service_tier", "modalities", "cache",
    }  # fmt: skip


def test_a_cap_below_the_least_is_raised_and_said() -> None:
    body, losses = asking(max_output=5)
    assert body["max_output_tokens"] == 16
    assert losses == ["max_output"]


@pytest.mark.parametrize(
    ("reasoning", "written", "lost"),
    [
        (Reasoning("low"), {"effort": "low"}, []),
        (Reasoning(budget=0), {"effort": "none"}, []),
        (Reasoning(budget=1024), {"effort": "low"}, ["reasoning.budget"]),
        (Reasoning(budget=4000), {"effort": "medium"}, ["reasoning.budget"]),
        (Reasoning(budget=32000, show="full"), {"effort": "high", "summary": "auto"}, ["reasoning.budget", "reasoning.show"]),
        (Reasoning(budget=-1, adaptive=True, show="none"), None, []),
        (Reasoning("max", show="detailed"), {"effort": "max", "summary": "detailed"}, []),
    ],
)
def test_how_much_to_think(reasoning: Reasoning, written: dict[str, str] | None, lost: list[str]) -> None:
    body, losses = asking(reasoning=reasoning)
    assert body.get("reasoning") == written
    assert losses == lost


def test_tools_are_flat_namespaces_are_grouped_and_nothing_is_strict_by_accident() -> None:
    tools = (
        Function("a", "does a", namespace="s"),
        FreeTool("p", grammar=msgspec.Raw(b'{"type":"text"}')),
        Function("b", strict=True, namespace="s"),
        WebSearch("high", most_uses=2, blocked=("x.org",), location=Location("NL"), at="tools[3]"),
        Hosted("openai_responses", "mcp", msgspec.Raw(b'{"type":"mcp"}')),
    )
    body, losses = asking(tools=tools)
    bare = {"type": "object", "properties": {}}
    assert body["tools"] == [
        {
            "type": "namespace",
            "name": "s",
            "description": "s",
            "tools": [
                {"type": "function", "name": "a", "description": "does a", "parameters": bare, "strict": False},
                {"type": "function", "name": "b", "parameters": bare, "strict": True},
            ],
        },
        {"type": "custom", "name": "p", "format": {"type": "text"}},
        {"type": "web_search", "search_context_size": "high", "user_location": {"type": "approximate", "country": "NL"}},
        {"type": "mcp"},
    ]
    assert losses == ["tools[3].blocked_domains", "tools[3].max_uses"]


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        (Choice("auto"), "auto"),
        (Choice("any"), "required"),
        (Choice("none", ("f",)), "none"),
        (Choice("any", ("f",)), {"type": "function", "name": "f"}),
        (Choice("any", ("p",)), {"type": "custom", "name": "p"}),
        (
            Choice(None, ("s__a",)),
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "a", "namespace": "s"}]},
        ),
        (Choice(parallel=False), None),
    ],
)
def test_the_choice_of_tools(choice: Choice, written: object) -> None:
    body, _ = asking(tools=(Function("f"), FreeTool("p"), Function("a", namespace="s")), choice=choice)
    assert body.get("tool_choice") == written
    assert body.get("parallel_tool_calls") == choice.parallel


def test_a_schema_has_a_name() -> None:
    body, _ = asking(format=Format("schema", msgspec.Raw(b"{}")))
    assert body["text"]["format"] == {"type": "json_schema", "name": "answer", "schema": {}, "strict": False}
    assert asking(format=Format("json"))[0]["text"]["format"] == {"type": "json_object"}


def test_reasoning_goes_back_to_its_maker_alone() -> None:
    items, losses = said(Thinking("sum", summary=True, id="rs_1", seal=MINE), Thinking("full", seal=MINE))
    assert items[0] == {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "sum"}],
        "encrypted_content": "mine",
    }
    assert items[1]["summary"] == [{"type": "summary_text", "text": "full"}]  # its client did not know that it was a summary
    assert not losses
    items, _ = said(Thinking("", seal=Seal("openai_responses:p", "rs_2:mine")))  # from a client whose dialect keeps no ids of thoughts
    assert items == [{"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "mine"}]
    items, losses = said(
        Thinking("a", seal=Seal("anthropic:x", "s"), at="here"), Thinking("b", at="there"), Text("c", seal=Seal("gemini:g", "s"), at="text")
    )
    assert [item["type"] for item in items] == ["message"]
    assert losses == ["here", "there", "text"]


def test_calls_and_results() -> None:
    long = "x" * 80
    turns = (
        HELLO,
        Turn("assistant", (ToolCall("c", "f", ""), ToolCall(long, "p", "diff", free=True), ToolCall("", "g", "{}", namespace="s"))),
        Turn(
            "user",
            (
                ToolResult("c", (Text("1"),), failed=True, at="r"),
                ToolResult(long, (Text("2"), Image(Url("https://example.org/a.png")))),
                ToolResult("", (), name="g"),
                Text("go on"),
            ),
        ),
    )
    body, losses = asking(*turns)
    first, free, nameless, one, two, three, message = body["input"][1:]
    assert first == {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    assert (free["type"], len(free["call_id"])) == ("custom_tool_call", 45)
    assert nameless == {"type": "function_call", "call_id": "call_1", "name": "g", "arguments": "{}", "namespace": "s"}
    assert one == {"type": "function_call_output", "call_id": "c", "output": "Error: 1"}
    assert (two["type"], two["call_id"], two["output"][1]["type"]) == ("custom_tool_call_output", free["call_id"], "input_image")
    assert three == {"type": "function_call_output", "call_id": "call_1", "output": []}
    assert message["content"] == [{"type": "input_text", "text": "go on"}]
    assert losses == ["r"]


def test_media_and_documents() -> None:
    body, losses = asking(
        Turn(
            "user",
            (
                Image(Inline("image/png", "AAAA"), "low"),
                Document(Inline("application/pdf", "BBBB")),
                Document(Url("https://example.org/a.pdf"), "a.pdf", at="u"),
                Document(PlainText("words"), "a.txt", "remark", True, at="d"),
                Document(FileId("file-1", "openai_responses")),
            ),
            name="Ann",
            at="t",
        )
    )
    assert body["input"][0]["content"] == [
        {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"},
        {"type": "input_file", "filename": "document.pdf", "file_data": "data:application/pdf;base64,BBBB"},
        {"type": "input_file", "file_url": "https://example.org/a.pdf"},
        {"type": "input_text", "text": "words"},
        {"type": "input_file", "file_id": "file-1"},
    ]
    assert losses == ["t.name", "u.title", "d.context", "d.citations", "d.title"]


def test_what_the_model_said() -> None:
    items, losses = said(
        Text("cited", citations=(Citation(url="https://example.org"), Citation(quote="q")), at="t"),
        Refusal("no"),
        Image(Inline("image/png", "AAAA")),
        Audio(None, "spoken", at="a"),
        Opaque("openai_responses", "x", msgspec.Raw(b'{"type":"web_search_call"}')),
    )
    assert items[0]["content"] == [
        {
            "type": "output_text",
            "text": "cited",
            "annotations": [
                {"type": "url_citation", "start_index": 0, "end_index": 5, "url": "https://example.org", "title": "https://example.org"}
            ],
        },
        {"type": "refusal", "refusal": "no"},
    ]
    assert items[1] == {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "AAAA"}
    assert items[2]["content"][0]["text"] == "spoken"
    assert items[3] == {"type": "web_search_call"}
    assert losses == ["t.citations", "a"]


@pytest.mark.parametrize(
    "turn",
    [
        Turn("user", (Audio(Inline("audio/wav", "AAAA"), at="here"),)),
        Turn("user", (Video(Url("https://example.org/a.mp4"), at="here"),)),
        Turn("user", (Opaque("gemini", "code", msgspec.Raw(b"{}"), "here"),)),
        Turn("user", (Image(FileId("f", "anthropic"), at="here"),)),
        Turn("assistant", (Opaque("gemini", "code", msgspec.Raw(b"{}"), "here"),)),
        Turn("assistant", (Video(Url("https://example.org/a.mp4"), at="here"),)),
        Turn("user", (ToolResult("", (), name="f", at="here"),)),
        Turn("user", (ToolResult("c", (Audio(Inline("audio/wav", "AAAA"), at="here"),)),)),
    ],
)
def test_content_that_cannot_be_said_is_refused(turn: Turn) -> None:
    with pytest.raises(Refused) as refusal:
        asking(turn)
    assert refusal.value.param == "here"


def test_a_tool_that_another_dialect_alone_knows_is_refused() -> None:
    with pytest.raises(Refused) as refusal:
        asking(tools=(Hosted("gemini", "google_maps", msgspec.Raw(b"{}"), "tools[0]"),))
    assert refusal.value.param == "tools[0]"


def test_fields_of_this_dialect_come_back_and_those_of_another_are_lost() -> None:
    raw = msgspec.Raw
    body, losses = asking(
        reasoning=Reasoning("low"),
        extras=(
            Extra("openai_responses", "truncation", raw(b'"auto"')),
            Extra("openai_responses", "reasoning.mode", raw(b'"pro"')),
            Extra("openai_responses", "include", raw(b'["web_search_call.results"]')),
            Extra("openai_responses", "input[0].phase", raw(b'"x"')),
            Extra("gemini", "safetySettings", raw(b"[]")),
        ),
    )
    assert body["truncation"] == "auto"
    assert body["reasoning"] == {"effort": "low", "mode": "pro"}
    assert body["include"] == ["reasoning.encrypted_content", "web_search_call.results"]
    assert losses == ["input[0].phase", "safetySettings"]


def test_a_cache_mark_for_an_hour_is_lost() -> None:
    _, losses = asking(Turn("user", (Text("a", Cache("5m"), at="x"), Text("b", Cache("1h"), at="y"))))
    assert losses == ["y.cache_control"]


def plain(made: Ask) -> object:
    """Without places, and with what writing always says."""
    value = json.loads(msgspec.json.encode(made))

    def strip(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: strip(each) for key, each in node.items() if key != "at"}
        return [strip(each) for each in node] if isinstance(node, list) else node

    return strip(value)


@pytest.mark.parametrize("name", sorted(path.stem for path in FIXTURES.glob("*.json") if ".to-" not in path.name))
def test_a_fixture_written_and_read_again_is_the_same_once_more(name: str) -> None:
    once = DOORS.read_ask(DOORS.write_ask(ask(name), TARGET).body)
    assert plain(DOORS.read_ask(DOORS.write_ask(once, TARGET).body)) == plain(once)


words = st.text(min_size=1, max_size=20)
texts = words.map(Text)
images = st.builds(Image, st.builds(Url, st.just("https://example.org/i.png")) | st.just(Inline("image/png", "AAAA")), st.just("auto"))
documents = st.builds(Document, st.just(Inline("application/pdf", "AAAA")), words)
calls = st.builds(ToolCall, words, words, words, st.booleans(), st.none() | words)
thoughts = st.builds(Thinking, words, st.just(True), st.just(False), words, st.just(MINE))
results = st.builds(ToolResult, words, st.tuples(texts) | st.tuples(texts, images))
user = st.builds(Turn, st.sampled_from(["user", "developer"]), st.lists(texts | images | documents, min_size=1, max_size=3).map(tuple))
answers = st.builds(Turn, st.just("user"), st.lists(results, min_size=1, max_size=3).map(tuple))
model = st.builds(Turn, st.just("assistant"), st.lists(texts | calls | thoughts | words.map(Refusal), min_size=1, max_size=5).map(tuple))
asks = st.builds(
    Ask,
    model=st.just("upstream"),
    turns=st.lists(st.tuples(user, model, answers), min_size=1, max_size=3).map(
        lambda rounds: tuple(turn for each in rounds for turn in each)
    ),
    tools=st.lists(
        st.builds(Function, words, words, st.just(msgspec.Raw(b'{"type":"object","additionalProperties":false}')), st.booleans()),
        max_size=2,
    ).map(tuple),
    choice=st.none() | st.builds(Choice, st.sampled_from(["auto", "any", "none"]), parallel=st.none() | st.booleans()),
    reasoning=st.none() | st.builds(Reasoning, st.sampled_from(["low", "high"]), show=st.sampled_from([None, "auto"])),
    max_output=st.none() | st.integers(16, 9999),
    temperature=st.none() | st.just(0.5),
    stream=st.booleans(),
    store=st.booleans(),
    wants_usage=st.just(True),
    metadata=st.none() | st.dictionaries(words, words, max_size=2),
)


@given(asks)
def test_what_is_written_is_read_as_it_was(made: Ask) -> None:
    written = DOORS.write_ask(made, TARGET)
    assert not written.losses
    read = DOORS.read_ask(written.body)
    expected: Any = plain(made)
    got: Any = plain(read)
    for turn in got["turns"]:
        for part in turn["parts"]:  # a seal that comes back unlabelled is of this dialect's own makers
            if part.get("seal"):
                part["seal"]["origin"] = MINE.origin
    assert got == expected


def test_results_without_ids_answer_the_earliest_call_of_their_tool() -> None:
    called = Turn("assistant", (ToolCall("", "f", "1"), ToolCall("", "g", "2"), ToolCall("", "f", "3")))
    answered = Turn("user", (ToolResult("", (Text("g"),), "g"), ToolResult("", (Text("a"),)), ToolResult("", (Text("b"),), "f")))
    body, _ = asking(HELLO, called, answered)
    assert [(item["call_id"], item["output"]) for item in body["input"][4:]] == [("call_2", "g"), ("call_1", "a"), ("call_3", "b")]
