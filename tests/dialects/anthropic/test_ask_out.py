"""An ask in Anthropic's words: every field of the body, every loss, every refusal."""

from __future__ import annotations

import json

import msgspec
import pytest
from msgspec import Raw

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
    Role,
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
from halley.dialects.anthropic.ask_out import write_ask, write_count
from halley.errors import Condition, Refused

TARGET = Target("claude-opus-4-6", "anthropic:main", most_output=64_000)
HI = Turn("user", (Text("hi"),), at="messages[0]")
Body = dict[str, object]


def write(ask: Ask, target: Target = TARGET) -> tuple[Body, list[str]]:
    written = write_ask(ask, target)
    return msgspec.json.decode(written.body, type=Body), [loss.path for loss in written.losses]


def field(name: str, /, target: Target = TARGET, **fields: object) -> object:
    body, _ = write(msgspec.structs.replace(Ask(model="m", turns=(HI,), max_output=100), **fields), target)
    return body.get(name)


def losses(target: Target = TARGET, **fields: object) -> list[str]:
    return write(msgspec.structs.replace(Ask(model="m", turns=(HI,), max_output=100), **fields), target)[1]


def said(*parts: Part, role: Role = "user") -> object:
    before = () if role == "user" else (HI,)
    messages = field("messages", turns=(*before, Turn(role, parts)))
    assert isinstance(messages, list)
    return messages[-1]["content"]


def test_the_least_is_a_model_a_cap_and_messages() -> None:
    body, lost = write(Ask(model="m", turns=(HI,)))
    assert body == {
        "model": "claude-opus-4-6",
        "max_tokens": 64_000,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
    }
    assert lost == []
    assert field("max_tokens", Target("x", "anthropic:p"), max_output=None) == 4096
    assert field("max_tokens", max_output=7) == 7


@pytest.mark.parametrize(
    "part, block",
    [
        (Text("a", cache=Cache("1h")), {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}}),
        (Image(Inline("image/png", "AA==")), {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}),
        (Image(Url("https://a.test/x")), {"type": "image", "source": {"type": "url", "url": "https://a.test/x"}}),
        (Image(FileId("file_1", "anthropic")), {"type": "image", "source": {"type": "file", "file_id": "file_1"}}),
        (
            Document(Inline("application/pdf", "AA=="), "T", "C", True, Cache()),
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="},
                "title": "T",
                "context": "C",
                "citations": {"enabled": True},
                "cache_control": {"type": "ephemeral"},
            },
        ),
        (Document(PlainText("w")), {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "w"}}),
        (Document(Inline("text/csv", "YSxi")), {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a,b"}}),
        (Document(Url("https://a.test/x.pdf")), {"type": "document", "source": {"type": "url", "url": "https://a.test/x.pdf"}}),
        (
            ToolResult("t", (Text("out"), Image(Url("https://a.test/i"))), failed=True, cache=Cache()),
            {
                "type": "tool_result",
                "tool_use_id": "t",
                "content": [{"type": "text", "text": "out"}, {"type": "image", "source": {"type": "url", "url": "https://a.test/i"}}],
                "is_error": True,
                "cache_control": {"type": "ephemeral"},
            },
        ),
        (ToolResult("t", ()), {"type": "tool_result", "tool_use_id": "t"}),
        (Opaque("anthropic", "search_result", Raw(b'{"type":"search_result"}')), {"type": "search_result"}),
    ],
)
def test_a_part_of_the_user_is_a_block(part: Part, block: object) -> None:
    assert said(part) == [block]


@pytest.mark.parametrize(
    "part, block",
    [
        (Text("a"), {"type": "text", "text": "a"}),
        (Refusal("no"), {"type": "text", "text": "no"}),
        (Audio(None, transcript="aloud"), {"type": "text", "text": "aloud"}),
        (ToolCall("t", "f", '{"a":1}', cache=Cache()),
         {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}, "cache_control": {"type": "ephemeral"}}),
        (ToolCall("t", "f", ""), {"type": "tool_use", "id": "t", "name": "f", "input": {}}),
        (ToolCall("t", "f", '{"a":'), {"type": "tool_use", "id": "t", "name": "f", "input": {"arguments": '{"a":'}}),
        (ToolCall("t", "f", "[1]"), {"type": "tool_use", "id": "t", "name": "f", "input": {"arguments": "[1]"}}),
        (ToolCall("t", "f", "*** Begin", free=True), {"type": "tool_use", "id": "t", "name": "f", "input": {"input": "*** Begin"}}),
        (ToolCall("t", "f", "{}", namespace="n"), {"type": "tool_use", "id": "t", "name": "n__f", "input": {}}),
        (Thinking("hm", seal=Seal("anthropic:", "s")), {"type": "thinking", "thinking": "hm", "signature": "s"}),
        (Thinking("hm", seal=Seal("anthropic:main", "s")), {"type": "thinking", "thinking": "hm", "signature": "s"}),
        (Thinking("", redacted=True, seal=Seal("anthropic:", "s")), {"type": "redacted_thinking", "data": "s"}),
        (Text("q", citations=(Citation(dialect="anthropic", raw=Raw(b'{"type":"x"}')),)),
         {"type": "text", "text": "q", "citations": [{"type": "x"}]}),
    ],
)  # fmt: skip
def test_a_part_of_the_assistant_is_a_block(part: Part, block: object) -> None:
    assert said(part, role="assistant") == [block]


@pytest.mark.parametrize(
    "part, role",
    [
        (Thinking("hm", at="p"), "assistant"),
        (Thinking("hm", seal=Seal("anthropic:other", "s"), at="p"), "assistant"),
        (Thinking("", redacted=True, seal=Seal("gemini:g", "s"), at="p"), "assistant"),
        (ToolCall("t", "f", "{", at="p"), "assistant"),
        (ToolCall("t", "f", "{}", seal=Seal("gemini:g", "s"), at="p"), "assistant"),
        (Text("a", seal=Seal("gemini:g", "s"), at="p"), "assistant"),
        (Text("a", citations=(Citation(url="https://a.test"),), at="p"), "assistant"),
        (Audio(None, transcript="aloud", at="p"), "assistant"),
        (Image(Url("https://a.test/x"), detail="low", at="p"), "user"),
        (Text("", cache=Cache(), at="p"), "user"),
        (Thinking("hm", at="p"), "user"),
    ],
)
def test_a_part_is_lost_or_said_with_a_loss(part: Part, role: Role) -> None:
    assert losses(turns=(HI, Turn(role, (Text("x"), part)))) == ["p"]


@pytest.mark.parametrize(
    "part, role",
    [
        (Audio(Inline("audio/wav", "AA=="), at="p"), "user"),
        (Video(Url("https://a.test/v"), at="p"), "user"),
        (Image(Inline("image/tiff", "AA=="), at="p"), "user"),
        (Image(FileId("f", "openai_responses"), at="p"), "user"),
        (Document(Inline("application/zip", "AA=="), at="p"), "user"),
        (Document(Inline("text/csv", "!"), at="p"), "user"),
        (Opaque("gemini", "executable code", Raw(b"{}"), at="p"), "user"),
        (ToolResult("", (), at="p"), "user"),
        (ToolCall("t", "f", "{}", at="p"), "user"),
        (Image(Url("https://a.test/x"), at="p"), "assistant"),
        (Image(Url("https://a.test/x"), at="p"), "system"),
    ],
)
def test_content_that_cannot_be_said_is_refused_by_its_place(part: Part, role: Role) -> None:
    with pytest.raises(Refused) as caught:
        said(part, role=role) if role != "system" else field("system", turns=(Turn("system", (part,)), HI))
    assert (caught.value.condition, caught.value.param) == (Condition.INVALID, "p")


def test_an_image_by_url_is_refused_where_the_provider_fetches_nothing() -> None:
    with pytest.raises(Refused, match="URL"):
        field("messages", TARGET._replace(takes_urls=False), turns=(Turn("user", (Image(Url("https://a.test/x")),)),))


def test_leading_instructions_are_the_system_prompt() -> None:
    turns = (Turn("system", (Text("a", cache=Cache()),)), Turn("developer", (Text("b"),)), HI)
    assert field("system", turns=turns) == [
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "b"},
    ]


def roles(*turns: Turn, model: str = "claude-opus-4-8") -> tuple[list[tuple[str, str]], list[str]]:
    body, lost = write(Ask(model="m", turns=turns), Target(model, "anthropic:p"))
    messages = body["messages"]
    assert isinstance(messages, list)
    return [(message["role"], "".join(block.get("text", "*") for block in message["content"])) for message in messages], lost


def turn(role: Role, text: str) -> Turn:
    return Turn(role, (Text(text),), at=text)


def test_a_system_message_midway_stands_after_the_users_turn() -> None:
    u, a, s = turn("user", "u"), turn("assistant", "a"), turn("system", "s")
    assert roles(u, s, a, turn("user", "v")) == ([("user", "u"), ("system", "s"), ("assistant", "a"), ("user", "v")], [])
    assert roles(u, a, s, turn("user", "v")) == ([("user", "u"), ("assistant", "a"), ("user", "v"), ("system", "s")], ["s"])
    assert roles(u, a, s) == ([("user", "u"), ("assistant", "a"), ("user", "s")], ["s"])
    assert roles(u, a, s, turn("assistant", "b")) == ([("user", "u"), ("assistant", "a"), ("user", "s"), ("assistant", "b")], ["s"])
    assert roles(u, s, a, model="claude-opus-4-5-20251101") == ([("user", "us"), ("assistant", "a")], ["s"])
    assert roles(u, s, model="glm-5") == ([("user", "u"), ("system", "s")], [])


def test_neighbours_of_one_role_are_one_message_and_results_come_first() -> None:
    body, lost = write(
        Ask(
            model="m",
            turns=(
                HI,
                Turn("assistant", (Text("a"),)),
                Turn("assistant", (ToolCall("1", "f", "{}"), ToolCall("2", "f", "{}"))),
                Turn("user", (Text("wait"), ToolResult("2", ()))),
                Turn("user", (ToolResult("1", ()),)),
            ),
        )
    )
    messages = body["messages"]
    assert isinstance(messages, list)
    assert [[block["type"] for block in message["content"]] for message in messages] == [
        ["text"],
        ["text", "tool_use", "tool_use"],
        ["tool_result", "tool_result", "text"],
    ]
    assert lost == []


def test_a_conversation_that_does_not_begin_with_the_user_gets_a_beginning_and_says_so() -> None:
    assert roles(turn("assistant", "a"), turn("user", "u")) == ([("user", "…"), ("assistant", "a"), ("user", "u")], ["a"])
    assert roles(turn("system", "s")) == ([("user", "…")], ["messages"])


def test_the_beginning_of_an_answer_ends_in_no_white_space() -> None:
    assert roles(turn("user", "u"), turn("assistant", "a \n")) == ([("user", "u"), ("assistant", "a")], ["a \n"])
    assert roles(turn("user", "u"), turn("assistant", " "))[0] == [("user", "u")]
    assert roles(turn("user", "u"), turn("assistant", "a "), turn("user", "u"))[1] == []


def test_ids_that_are_not_taken_are_replaced_alike_in_call_and_result() -> None:
    body, _ = write(
        Ask(
            model="m",
            turns=(
                HI,
                Turn("assistant", (ToolCall("a:b", "f", "{}"), ToolCall("", "g", "{}"), ToolCall("", "f", "{}"), ToolCall("", "f", "{}"))),
                Turn("user", (ToolResult("a:b", ()), ToolResult("", (), name="f"), ToolResult("", (), name="g"), ToolResult("", ()))),
            ),
        )
    )
    messages = body["messages"]
    assert isinstance(messages, list)
    calls = [block["id"] for block in messages[1]["content"]]
    results = [block["tool_use_id"] for block in messages[2]["content"]]
    assert calls == [results[0], results[2], results[1], results[3]]
    assert calls[0].startswith("a_b_") and len(set(calls)) == 4
    assert write(Ask(model="m", turns=(HI, Turn("assistant", (ToolCall("a:b", "f", "{}"),)))))[0]["messages"] == [
        messages[0],
        {"role": "assistant", "content": [{"type": "tool_use", "id": calls[0], "name": "f", "input": {}}]},
    ]


SCHEMA = Raw(b'{"type":"object","properties":{"a":{"type":"string"}}}')


def test_tools_are_said() -> None:
    tools = (
        Function("f", "d", SCHEMA, True, cache=Cache()),
        Function("g"),
        Function("h", schema=Raw(b'{"properties":{}}')),
        WebSearch(most_uses=3, allowed=("a.test",), location=Location("DE")),
        Hosted("anthropic", "bash_20250124", Raw(b'{"type":"bash_20250124","name":"bash"}')),
    )
    assert field("tools", tools=tools) == [
        {
            "name": "f",
            "description": "d",
            "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False},
            "strict": True,
            "cache_control": {"type": "ephemeral"},
        },
        {"name": "g", "input_schema": {"type": "object"}},
        {"name": "h", "input_schema": {"properties": {}, "type": "object"}},
        {
            "type": "web_search_20250305",
            "name": "web_search",
            "max_uses": 3,
            "allowed_domains": ["a.test"],
            "user_location": {"type": "approximate", "country": "DE"},
        },
        {"type": "bash_20250124", "name": "bash"},
    ]
    assert losses(tools=(WebSearch(size="low", at="t"), WebSearch(allowed=("a",), blocked=("b",), at="u"))) == ["t", "u"]


@pytest.mark.parametrize("tool", [Hosted("gemini", "code execution", Raw(b"{}"), "p"), Function("f", schema=Raw(b"7"), at="p")])
def test_a_tool_that_cannot_be_said_is_refused(tool: Hosted | Function) -> None:
    with pytest.raises(Refused) as caught:
        field("tools", tools=(tool,))
    assert caught.value.param == "p"


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(Refused):
        field("tools", tools=(Function("f"), Function("f", at="p")))


def test_a_namespace_stands_before_the_name() -> None:
    tools = (Function("f", namespace="a"), Function("f", namespace="b"))
    body, lost = write(Ask(model="m", turns=(HI,), tools=tools, choice=Choice("any", ("b__f",))))
    found = body["tools"]
    assert isinstance(found, list) and [tool["name"] for tool in found] == ["a__f", "b__f"]
    assert (body["tool_choice"], lost) == ({"type": "tool", "name": "b__f"}, [])


def test_a_tool_of_its_own_language_takes_one_text() -> None:
    tool = FreeTool("apply_patch", "Changes files", Raw(b'{"syntax":"lark"}'), at="p")
    assert field("tools", tools=(tool,)) == [
        {
            "name": "apply_patch",
            "description": 'Changes files\n\nThe input follows this grammar: {"syntax":"lark"}',
            "input_schema": {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]},
        }
    ]
    assert losses(tools=(tool,)) == ["p"]


F, G = Function("f"), Function("g")


@pytest.mark.parametrize(
    "choice, written, tools",
    [
        (Choice("auto"), {"type": "auto"}, "fg"),
        (Choice("any"), {"type": "any"}, "fg"),
        (Choice("none"), {"type": "none"}, "fg"),
        (Choice("any", ("g",)), {"type": "tool", "name": "g"}, "fg"),
        (Choice("any", ("g", "x")), {"type": "any"}, "g"),
        (Choice("auto", ("f",)), {"type": "auto"}, "f"),
        (Choice(parallel=False), {"type": "auto", "disable_parallel_tool_use": True}, "fg"),
        (Choice("any", parallel=True), {"type": "any", "disable_parallel_tool_use": False}, "fg"),
        (Choice("none", parallel=False), {"type": "none"}, "fg"),
        (Choice(), None, "fg"),
    ],
)
def test_a_choice_is_said(choice: Choice, written: object, tools: str) -> None:
    body, lost = write(Ask(model="m", turns=(HI,), tools=(F, G), choice=choice))
    assert body.get("tool_choice") == written
    found = body["tools"]
    assert isinstance(found, list) and "".join(tool["name"] for tool in found) == tools
    assert lost == []


def test_a_choice_without_tools_is_none() -> None:
    assert field("tool_choice", choice=Choice("auto")) is None
    assert losses(choice=Choice("auto", parallel=False)) == []
    assert losses(choice=Choice("any", at="tool_choice")) == ["tool_choice"]


def test_where_a_tool_must_be_called_the_model_does_not_think() -> None:
    ask = Ask(model="m", turns=(HI,), tools=(F,), choice=Choice("any"), reasoning=Reasoning("high"))
    body, lost = write(ask)
    assert (body["thinking"], body["output_config"], lost) == ({"type": "disabled"}, {"effort": "high"}, ["reasoning"])
    body, lost = write(msgspec.structs.replace(ask, max_output=9, reasoning=Reasoning(budget=2000)))
    assert (body["max_tokens"], lost) == (9, ["reasoning"])


def test_a_turn_whose_thoughts_nobody_kept_goes_on_without_a_budget_for_more() -> None:
    loop = (HI, Turn("assistant", (ToolCall("t1", "f", "{}"),)), Turn("user", (ToolResult("t1", (Text("x"),)),)))
    ask = Ask(model="m", turns=loop, tools=(F,), max_output=9, reasoning=Reasoning(budget=2000))
    body, lost = write(ask)
    assert (body["thinking"], body["max_tokens"], lost) == ({"type": "disabled"}, 9, ["reasoning"])
    body, lost = write(msgspec.structs.replace(ask, reasoning=Reasoning("high")))
    assert (body["thinking"], lost) == ({"type": "adaptive"}, [])
    body, _ = write(msgspec.structs.replace(ask, max_output=4000, turns=(*loop, Turn("assistant", (Text("so"),)), HI)))
    assert (body["thinking"], body["max_tokens"]) == ({"type": "enabled", "budget_tokens": 2000}, 4000)


@pytest.mark.parametrize(
    ("cap", "budget", "thinking"),
    [
        (9, 2000, {"type": "disabled"}),
        (2000, 2000, {"type": "disabled"}),
        (3000, 4000, {"type": "enabled", "budget_tokens": 1500}),
        (3000, 2000, {"type": "enabled", "budget_tokens": 2000}),
    ],
)
def test_a_cap_of_the_callers_is_never_raised_to_make_room_for_thoughts(cap: int, budget: int, thinking: dict[str, object]) -> None:
    """So much and no more is held for it."""
    body, lost = write(Ask(model="m", turns=(HI,), max_output=cap, reasoning=Reasoning(budget=budget)))
    assert (body["max_tokens"], body["thinking"]) == (cap, thinking)
    assert lost == ([] if cap > budget else ["reasoning"])


@pytest.mark.parametrize("key", ["format", "minItems"])
@pytest.mark.parametrize("value", [{"a": 1}, [], None])
def test_a_word_of_a_schema_with_a_value_that_is_none_is_told_in_words(key: str, value: object) -> None:
    """Found by `script/soak fuzz`."""
    schema = Raw(json.dumps({"type": "object", "properties": {"a": {key: value}}, "additionalProperties": False}).encode())
    written = write_ask(Ask(model="m", turns=(HI,), format=Format("schema", schema, name="n", strict=True)), TARGET)
    said = json.loads(written.body)["output_config"]["format"]["schema"]["properties"]["a"]
    assert key not in said and json.dumps(value, separators=(",", ":")) in said["description"]
    assert [loss.path for loss in written.losses] == ["format"]


def test_a_schema_is_closed_and_otherwise_as_it_came() -> None:
    closed = Raw(b'{"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false}')
    written = write_ask(Ask(model="m", turns=(HI,), format=Format("schema", closed, name="n", strict=True)), TARGET)
    assert bytes(closed) in written.body and written.losses == ()
    opened = Raw(
        b'{"type":"object","properties":{"properties":{"type":"array","items":{"type":"object"}},"b":{"enum":[{"properties":1}]}}}'
    )
    shape = {
        "type": "object",
        "properties": {
            "properties": {"type": "array", "items": {"type": "object", "additionalProperties": False}},
            "b": {"enum": [{"properties": 1}]},
        },
        "additionalProperties": False,
    }
    assert field("output_config", format=Format("schema", opened)) == {"format": {"type": "json_schema", "schema": shape}}
    assert losses(format=Format("schema", opened, description="d")) == ["format", "format"]


def test_any_json_is_asked_for_in_words() -> None:
    body, lost = write(Ask(model="m", turns=(HI,), format=Format("json")))
    assert isinstance(body["system"], list) and "JSON" in body["system"][0]["text"]
    assert lost == ["format"] and "output_config" not in body


def test_the_rest_is_said() -> None:
    body, lost = write(
        Ask(
            model="m",
            turns=(HI,),
            stop=("x", "\n"),
            end_user="u",
            service_tier="default",
            cache=Cache("1h"),
            stream=True,
            temperature=0.5,
            top_k=4,
            extras=(Extra("anthropic", "container", Raw(b'"c"')), Extra("anthropic", "tools[0].defer_loading", Raw(b"true"))),
        )
    )
    assert {name: body[name] for name in body.keys() - {"model", "messages", "max_tokens"}} == {
        "stop_sequences": ["x"],
        "metadata": {"user_id": "u"},
        "service_tier": "standard_only",
        "cache_control": {"type": "ephemeral", "ttl": "1h"},
        "stream": True,
        "temperature": 0.5,
        "top_k": 4,
        "container": "c",
    }
    assert lost == ["stop", "tools[0].defer_loading"]


@pytest.mark.parametrize(
    "fields",
    [
        {"seed": 1}, {"presence_penalty": 0.1}, {"frequency_penalty": 0.1}, {"n": 2}, {"logprobs": 0}, {"logit_bias": Raw(b"{}")},
        {"verbosity": "low"}, {"metadata": {"a": "b"}}, {"cache_key": "k"}, {"store": True}, {"modalities": ("text", "audio")},
        {"service_tier": "flex"},
    ],
)  # fmt: skip
def test_a_knob_that_is_not_there_is_a_loss(fields: dict[str, object]) -> None:
    assert losses(**fields) == list(fields)


def test_what_changes_nothing_is_no_loss() -> None:
    assert losses(n=1, store=False, modalities=("text",), service_tier="auto", top_p=1.0) == []


def test_a_name_of_a_speaker_and_a_field_of_another_dialect_are_lost() -> None:
    assert losses(turns=(Turn("user", (Text("a"),), name="ann", at="messages[0]"),)) == ["messages[0].name"]
    assert losses(extras=(Extra("gemini", "safetySettings", Raw(b"[]")),)) == ["safetySettings"]


def test_a_count_is_one_field() -> None:
    assert write_count(42) == b'{"input_tokens":42}'
