"""A request in Anthropic's words becomes an ask, field by field; what is wrong is named, what is unknown is kept."""

from __future__ import annotations

import json

import msgspec
import pytest
from msgspec import Raw

from halley.chat.model import (
    Ask,
    Cache,
    Choice,
    Citation,
    Document,
    FileId,
    Format,
    Function,
    Hosted,
    Image,
    Inline,
    Location,
    Opaque,
    Part,
    PlainText,
    Reasoning,
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
    Url,
    WebSearch,
)
from halley.chat.seals import labelled
from halley.dialects.anthropic.ask_in import read_ask, read_count_ask
from halley.dialects.anthropic.sealing import UNSEALED, written_behind
from halley.errors import Condition, Refused

HI = [{"role": "user", "content": "hi"}]
OWN = "anthropic:"
GEMINI = Seal("gemini:g", "c2ln")


def body(**fields: object) -> bytes:
    return json.dumps({"model": "m", "max_tokens": 9, "messages": HI, **fields}).encode()


def read(**fields: object) -> Ask:
    return read_ask(body(**fields))


def parts(*blocks: object, role: str = "user") -> tuple[Part, ...]:
    return read(messages=[{"role": role, "content": list(blocks)}]).turns[0].parts


def refusal(**fields: object) -> Refused:
    with pytest.raises(Refused) as caught:
        read(**fields)
    assert caught.value.condition is Condition.INVALID
    return caught.value


AT = "messages[0].content[0]"


@pytest.mark.parametrize(
    "block, part",
    [
        ({"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}}, Text("a", cache=Cache("1h"), at=AT)),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
            Image(Inline("image/png", "AA=="), at=AT),
        ),
        ({"type": "image", "source": {"type": "url", "url": "https://a.test/x.png"}}, Image(Url("https://a.test/x.png"), at=AT)),
        ({"type": "image", "source": {"type": "file", "file_id": "file_1"}}, Image(FileId("file_1", "anthropic"), at=AT)),
        (
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="},
                "title": "T",
                "context": "C",
                "citations": {"enabled": True},
                "cache_control": {"type": "ephemeral"},
            },
            Document(Inline("application/pdf", "AA=="), "T", "C", True, Cache(), AT),
        ),
        (
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
            Document(PlainText("words"), at=AT),
        ),
        ({"type": "document", "source": {"type": "url", "url": "https://a.test/x.pdf"}}, Document(Url("https://a.test/x.pdf"), at=AT)),
        ({"type": "document", "source": {"type": "content", "content": "words"}}, Document(PlainText("words"), at=AT)),
        (
            {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}},
            Document(PlainText("a\nb"), at=AT),
        ),
        ({"type": "tool_result", "tool_use_id": "t", "content": "out"}, ToolResult("t", (Text("out", at=f"{AT}.content"),), at=AT)),
        (
            {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "tool_reference", "tool_name": "WebFetch"}]},
            ToolResult("t", (Text("The tool WebFetch has been found: it can be called.", at=f"{AT}.content[0]"),), at=AT),
        ),
        ({"type": "tool_result", "tool_use_id": "t", "is_error": True}, ToolResult("t", (), failed=True, at=AT)),
        (
            {
                "type": "tool_result",
                "tool_use_id": "t",
                "content": [{"type": "image", "source": {"type": "url", "url": "https://a.test/i"}}],
                "cache_control": {"type": "ephemeral", "ttl": "5m"},
            },
            ToolResult("t", (Image(Url("https://a.test/i"), at=f"{AT}.content[0]"),), cache=Cache("5m"), at=AT),
        ),
    ],
)
def test_a_block_of_the_user_is_a_part(block: object, part: Part) -> None:
    assert parts(block) == (part,)


@pytest.mark.parametrize(
    "block, part",
    [
        ({"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}, ToolCall("t", "f", '{"a": 1}', at=AT)),
        ({"type": "tool_use", "id": "t", "name": "f", "input": {}, "caller": {"type": "direct"}}, ToolCall("t", "f", "{}", at=AT)),
        ({"type": "thinking", "thinking": "hm", "signature": "c2ln"}, Thinking("hm", seal=Seal(OWN, "c2ln"), at=AT)),
        ({"type": "thinking", "thinking": "", "signature": "c2ln"}, Thinking("", seal=Seal(OWN, "c2ln"), at=AT)),
        ({"type": "thinking", "thinking": "hm", "signature": labelled(GEMINI)}, Thinking("hm", seal=GEMINI, at=AT)),
        ({"type": "thinking", "thinking": "hm", "signature": UNSEALED}, Thinking("hm", at=AT)),
        ({"type": "thinking", "thinking": "hm"}, Thinking("hm", at=AT)),
        ({"type": "redacted_thinking", "data": "c2ln"}, Thinking("", redacted=True, seal=Seal(OWN, "c2ln"), at=AT)),
        ({"type": "redacted_thinking", "data": labelled(GEMINI)}, Thinking("", redacted=True, seal=GEMINI, at=AT)),
    ],
)
def test_a_block_of_the_assistant_is_a_part(block: object, part: Part) -> None:
    assert parts(block, role="assistant") == (part,)


@pytest.mark.parametrize(
    "kind", ["search_result", "server_tool_use", "web_search_tool_result", "container_upload", "compaction", "what_comes_next_year"]
)
def test_a_block_that_only_this_dialect_has_is_opaque(kind: str) -> None:
    block = {"type": kind, "content": [1, {"a": None}]}
    (part,) = parts(block)
    assert isinstance(part, Opaque) and (part.dialect, part.what, part.at) == ("anthropic", kind, AT)
    assert msgspec.json.decode(part.raw) == block


def test_citations_keep_their_words() -> None:
    web = {"type": "web_search_result_location", "cited_text": "q", "url": "https://a.test", "title": "T", "encrypted_index": "E"}
    page = {"type": "page_location", "cited_text": "p", "document_title": "D", "document_index": 0}
    (part,) = parts({"type": "text", "text": "x", "citations": [web, page]}, role="assistant")
    assert isinstance(part, Text)
    first, second = part.citations
    assert (first.url, first.title, first.quote, first.dialect) == ("https://a.test", "T", "q", "anthropic")
    assert first.raw is not None and msgspec.json.decode(first.raw) == web
    assert isinstance(second, Citation) and (second.url, second.title, second.quote) == (None, "D", "p")


def test_a_seal_that_travelled_in_a_thinking_block_goes_back_to_its_part() -> None:
    def carried(signature: str) -> dict[str, str]:
        return {"type": "thinking", "thinking": "", "signature": signature}

    call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    said = {"type": "text", "text": "x"}
    assert parts(carried(labelled(GEMINI)), call, role="assistant") == (ToolCall("t", "f", "{}", seal=GEMINI, at="messages[0].content[1]"),)
    assert parts(said, carried(written_behind(GEMINI)), call, role="assistant") == (
        Text("x", seal=GEMINI, at=AT),
        ToolCall("t", "f", "{}", at="messages[0].content[2]"),
    )
    assert parts(carried(UNSEALED), call, role="assistant") == (ToolCall("t", "f", "{}", at="messages[0].content[1]"),)


def test_the_system_prompt_and_system_messages_are_turns() -> None:
    ask = read(
        system=[{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
        messages=[
            *HI,
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "mid_conv_system", "content": "be kind"}]},
        ],
    )
    assert ask.turns == (
        Turn("system", (Text("s", cache=Cache(), at="system[0]"),), at="system"),
        Turn("user", (Text("hi", at="messages[0].content"),), at="messages[0]"),
        Turn("system", (Text("be brief", at="messages[1].content"),), at="messages[1]"),
        Turn("user", (Text("a", at="messages[2].content[0]"),), at="messages[2]"),
        Turn("system", (Text("be kind", at="messages[2].content[1].content"),), at="messages[2].content[1]"),
    )
    assert read(system="s").turns[0] == Turn("system", (Text("s", at="system"),), at="system")


def test_tools_are_read() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    ask = read(
        tools=[
            {"name": "f", "description": "d", "input_schema": schema, "strict": True, "cache_control": {"type": "ephemeral"}},
            {"type": "custom", "name": "g", "input_schema": {"type": "object"}},
            {
                "type": "web_search_20260318",
                "name": "web_search",
                "max_uses": 3,
                "allowed_domains": ["a.test"],
                "blocked_domains": ["b.test"],
                "user_location": {"type": "approximate", "country": "DE", "city": None},
            },
            {"type": "bash_20250124", "name": "bash"},
        ]
    )
    function, custom, search, bash = ask.tools
    assert isinstance(function, Function) and function.schema is not None and msgspec.json.decode(function.schema) == schema
    assert (function.name, function.description, function.strict, function.cache) == ("f", "d", True, Cache())
    assert isinstance(custom, Function) and custom.at == "tools[1]"
    assert search == WebSearch(most_uses=3, allowed=("a.test",), blocked=("b.test",), location=Location("DE"), at="tools[2]")
    assert isinstance(bash, Hosted) and (bash.dialect, bash.what) == ("anthropic", "bash_20250124")


@pytest.mark.parametrize(
    "choice, read_as",
    [
        ({"type": "auto"}, Choice("auto", at="tool_choice")),
        ({"type": "any", "disable_parallel_tool_use": True}, Choice("any", parallel=False, at="tool_choice")),
        ({"type": "tool", "name": "f"}, Choice("any", ("f",), at="tool_choice")),
        ({"type": "none"}, Choice("none", at="tool_choice")),
    ],
)
def test_a_choice_is_read(choice: object, read_as: Choice) -> None:
    assert read(tool_choice=choice).choice == read_as


@pytest.mark.parametrize(
    "fields, reasoning",
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, Reasoning(budget=2000, show="auto")),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000, "display": "omitted"}}, Reasoning(budget=2000, show="none")),
        ({"thinking": {"type": "adaptive", "display": "omitted"}}, Reasoning(adaptive=True, show="none")),
        ({"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "max"}},
         Reasoning("max", adaptive=True, show="auto")),
        ({"thinking": {"type": "disabled"}}, Reasoning(budget=0)),
        ({"output_config": {"effort": "low"}}, Reasoning("low")),
        ({}, None),
    ],
)  # fmt: skip
def test_thinking_is_read(fields: dict[str, object], reasoning: Reasoning | None) -> None:
    assert read(**fields).reasoning == reasoning


def test_the_rest_is_read() -> None:
    ask = read(
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        stop_sequences=["x"],
        metadata={"user_id": "u"},
        service_tier="standard_only",
        cache_control={"type": "ephemeral", "ttl": "1h"},
        stream=True,
        output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}},
    )
    assert (ask.model, ask.max_output, ask.temperature, ask.top_p, ask.top_k, ask.stop) == ("m", 9, 0.5, 0.9, 40, ("x",))
    assert (ask.end_user, ask.service_tier, ask.cache, ask.stream) == ("u", "default", Cache("1h"), True)
    assert ask.format is not None and ask.format == Format("schema", ask.format.schema)
    assert ask.format.schema is not None and msgspec.json.decode(ask.format.schema) == {"type": "object"}


def test_what_is_unknown_is_kept_with_its_place() -> None:
    ask = read(
        context_management={"edits": []},
        mcp_servers=[],
        container="c",
        inference_geo="us",
        brand_new=None,
        metadata={"user_id": "u", "team": "t"},
        output_config={"effort": "low", "task_budget": 1},
        thinking={"type": "between_tools"},
        tools=[{"name": "f", "input_schema": {}, "defer_loading": True}],
        messages=[{"role": "user", "content": [{"type": "text", "text": "a", "odd": 1}]}],
    )
    assert {extra.at for extra in ask.extras} == {
        "context_management", "mcp_servers", "container", "inference_geo", "metadata.team", "output_config.task_budget", "thinking",
        "tools[0].defer_loading", "messages[0].content[0].odd",
    }  # fmt: skip
    assert {extra.dialect for extra in ask.extras} == {"anthropic"}
    assert next(extra.raw for extra in ask.extras if extra.at == "container") == Raw(b'"c"')


@pytest.mark.parametrize(
    "fields, param",
    [
        ({"model": 5}, "model"),
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{"text": "a"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "messages[0].content[0].source"),
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url"}}]}]}, "messages[0].content[0].source.url"),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]}, "messages[0].content[0].tool_use_id"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"ttl": "2h"}}]}]},
            "messages[0].content[0].cache_control.ttl",
        ),
        ({"tools": [{"type": "custom"}]}, "tools[0].name"),
        ({"tool_choice": {"type": "maybe"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"output_config": {"effort": "heroic"}}, "output_config.effort"),
        ({"stop_sequences": "x"}, "stop_sequences"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, object], param: str) -> None:
    assert refusal(**fields).param == param


def test_a_thread_is_refused_with_the_code_that_makes_clients_send_it_all() -> None:
    found = refusal(thread={"type": "continue", "previous_message_id": "msg_1"})
    assert (found.param, found.code) == ("thread", "thread_unsupported_request")
    read(thread=None)


def test_a_count_needs_no_cap() -> None:
    assert read_count_ask(json.dumps({"model": "m", "messages": HI}).encode()).max_output is None
    with pytest.raises(Refused):
        read_ask(json.dumps({"model": "m", "messages": HI}).encode())


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'{"model":"m","model":"n"}', b"\xff"])
def test_what_is_no_json_object_is_refused(text: bytes) -> None:
    with pytest.raises(Refused):
        read_ask(text)
