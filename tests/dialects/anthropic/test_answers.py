"""A whole answer, read from a provider and written for a client: every block, every reason, every count."""

from __future__ import annotations

import json

import msgspec
import pytest
from msgspec import Raw

from halley.chat.doors import Asked, Unreadable
from halley.chat.model import (
    Answer,
    Ask,
    Audio,
    Citation,
    Extra,
    Finish,
    Image,
    Opaque,
    Part,
    Reason,
    Refusal,
    Seal,
    Text,
    Thinking,
    ToolCall,
    Url,
)
from halley.chat.seals import labelled
from halley.chat.usage import Usage
from halley.dialects.anthropic import DOORS
from halley.dialects.anthropic.answers import read_answer, read_count, write_answer
from halley.dialects.anthropic.sealing import UNSEALED, written_behind

ASKED = Asked(Ask(model="m", turns=()), "mine", "1a2b", 7)
MAKER = "anthropic:main"
GEMINI = Seal("gemini:g", "c2ln")
WEB = {"type": "web_search_result_location", "cited_text": "q", "url": "https://a.test", "title": "T", "encrypted_index": "E"}
MESSAGE: dict[str, object] = {
    "id": "msg_01",
    "type": "message",
    "role": "assistant",
    "model": "claude-opus-4-6",
    "content": [
        {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "cmVk"},
        {"type": "text", "text": "It is", "citations": [WEB]},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "stop_details": None,
    "usage": {
        "input_tokens": 10,
        "cache_creation_input_tokens": 30,
        "cache_read_input_tokens": 100,
        "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 10},
        "output_tokens": 50,
        "output_tokens_details": {"thinking_tokens": 40},
        "server_tool_use": {"web_search_requests": 1},
        "service_tier": "standard",
    },
    "container": {"id": "c", "expires_at": "2026-11-26T00:00:00Z"},
}


def test_an_answer_is_read() -> None:
    answer = read_answer(msgspec.json.encode(MESSAGE), MAKER, "n")
    assert (answer.id, answer.model, answer.created, answer.service_tier) == ("msg_01", "claude-opus-4-6", None, "default")
    thinking, redacted, text, server, call = answer.parts
    assert thinking == Thinking("hm", seal=Seal(MAKER, "c2ln"))
    assert redacted == Thinking("", redacted=True, seal=Seal(MAKER, "cmVk"))
    assert isinstance(text, Text) and text.text == "It is"
    assert [(each.url, each.title, each.quote, each.dialect) for each in text.citations] == [("https://a.test", "T", "q", "anthropic")]
    assert isinstance(server, Opaque) and (server.dialect, server.what) == ("anthropic", "server_tool_use")
    assert call == ToolCall("toolu_1", "f", '{"a":1}')
    assert answer.finish == Finish("tool")
    counts = Usage(input=140, output=50, cache_read=100, cache_write_5m=20, cache_write_1h=10, reasoning=40, tools={"web_search": 1})
    assert answer.usage == counts
    assert {extra.at for extra in answer.extras} == {"container", "usage.server_tool_use"}


def test_an_answer_that_was_read_is_written_as_it_was() -> None:
    read = read_answer(msgspec.json.encode(MESSAGE), "anthropic:", "n")
    written = write_answer(read, ASKED)
    assert msgspec.json.decode(written.body) == MESSAGE | {"model": "mine"}
    assert written.losses == ()


@pytest.mark.parametrize(
    "word, sequence, details, finish",
    [
        ("end_turn", None, None, Finish("stop")),
        ("stop_sequence", "END", None, Finish("stop_sequence", "END")),
        ("max_tokens", None, None, Finish("length")),
        ("pause_turn", None, None, Finish("pause")),
        ("refusal", None, {"type": "refusal", "category": "bio", "explanation": "no"}, Finish("refusal", detail="no", word="bio")),
        ("model_context_window_exceeded", None, None, Finish("context")),
        ("tired", None, None, Finish("stop", word="tired")),
        (None, None, None, Finish("stop")),
    ],
)
def test_a_reason_is_read(word: str | None, sequence: str | None, details: object, finish: Finish) -> None:
    found = MESSAGE | {"stop_reason": word, "stop_sequence": sequence, "stop_details": details}
    assert read_answer(msgspec.json.encode(found), MAKER, "n").finish == finish
    if word not in (None, "tired"):
        again = msgspec.json.decode(write_answer(Answer(id="x", model="m", parts=(), finish=finish), ASKED).body)
        assert (again["stop_reason"], again["stop_sequence"], again["stop_details"]) == (word, sequence, details)


@pytest.mark.parametrize("reason, word", [("filter", "refusal"), ("bad_call", "end_turn")])
def test_a_reason_of_others_has_a_word(reason: Reason, word: str) -> None:
    assert msgspec.json.decode(write_answer(Answer(id="", model="", parts=(), finish=Finish(reason)), ASKED).body)["stop_reason"] == word


@pytest.mark.parametrize(
    "words, usage",
    [
        ({"input_tokens": 3, "output_tokens": 4}, Usage(3, 4)),
        ({"input_tokens": 3, "output_tokens": 4, "cache_creation_input_tokens": 5}, Usage(8, 4, cache_write_5m=5)),
        (
            {"input_tokens": 3, "output_tokens": 4, "cache_creation_input_tokens": 9, "cache_creation": {"ephemeral_1h_input_tokens": 2}},
            Usage(12, 4, cache_write_5m=7, cache_write_1h=2),
        ),
        ({"input_tokens": 3, "output_tokens": 4, "cache_read_input_tokens": None, "output_tokens_details": None}, Usage(3, 4)),
    ],
)
def test_counts_have_one_meaning(words: object, usage: Usage) -> None:
    assert read_answer(msgspec.json.encode(MESSAGE | {"usage": words}), MAKER, "n").usage == usage


@pytest.mark.parametrize("words", [{"input_tokens": -1}, {"output_tokens": "many"}, 5, None, {"input_tokens": 2**40}])
def test_counts_that_make_no_sense_count_as_none(words: object) -> None:
    answer = read_answer(msgspec.json.encode(MESSAGE | {"usage": words}), MAKER, "n")
    assert (answer.usage, len(answer.parts)) == (None, 5)


def content(*parts: Part) -> tuple[object, list[str]]:
    written = write_answer(Answer(id="", model="", parts=parts, finish=Finish("stop")), ASKED)
    return msgspec.json.decode(written.body)["content"], [loss.path for loss in written.losses if loss.path != "usage"]


def empty_thinking(signature: str) -> dict[str, str]:
    return {"type": "thinking", "thinking": "", "signature": signature}


@pytest.mark.parametrize(
    "part, blocks",
    [
        (Text("a"), [{"type": "text", "text": "a"}]),
        (Text(""), []),
        (Text("", seal=GEMINI), [empty_thinking(written_behind(GEMINI))]),
        (Text("a", seal=GEMINI), [empty_thinking(labelled(GEMINI)), {"type": "text", "text": "a"}]),
        (Refusal("no"), [{"type": "text", "text": "no"}]),
        (Thinking("hm"), [{"type": "thinking", "thinking": "hm", "signature": UNSEALED}]),
        (Thinking("hm", seal=GEMINI), [{"type": "thinking", "thinking": "hm", "signature": labelled(GEMINI)}]),
        (Thinking(""), []),
        (Thinking("", seal=GEMINI), [{"type": "redacted_thinking", "data": labelled(GEMINI)}]),
        (Thinking("", seal=Seal("anthropic:", "s")), [empty_thinking("s")]),
        (Thinking("", redacted=True, seal=Seal("anthropic:", "s")), [{"type": "redacted_thinking", "data": "s"}]),
        (ToolCall("", "f", ""), [{"type": "tool_use", "id": "toolu_1a2b_0", "name": "f", "input": {}}]),
        (ToolCall("c", "f", '{"a":1}', seal=GEMINI),
         [empty_thinking(labelled(GEMINI)), {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}}]),
    ],
)  # fmt: skip
def test_a_part_is_shown(part: Part, blocks: object) -> None:
    assert content(part) == (blocks, [])


@pytest.mark.parametrize(
    "part, blocks",
    [
        (ToolCall("c", "f", "{"), [{"type": "tool_use", "id": "c", "name": "f", "input": {"arguments": "{"}}]),
        (Text("a", citations=(Citation(url="https://a.test"),)), [{"type": "text", "text": "a"}]),
        (Audio(None, transcript="aloud"), [{"type": "text", "text": "aloud"}]),
        (Image(Url("https://a.test")), []),
        (Opaque("gemini", "executable code", Raw(b"{}")), []),
    ],
)
def test_a_part_is_shown_with_a_loss(part: Part, blocks: object) -> None:
    assert content(part) == (blocks, ["content"])


def test_words_that_decline_are_a_refusal() -> None:
    answer = Answer(id="", model="", parts=(Refusal("no"),), finish=Finish("stop"))
    assert msgspec.json.decode(write_answer(answer, ASKED).body)["stop_reason"] == "refusal"


def test_the_envelope_has_all_that_clients_need() -> None:
    answer = Answer(
        id="",
        model="theirs",
        parts=(),
        finish=Finish("stop"),
        usage=Usage(10, 5, cache_read=4, cache_write_5m=2, cache_write_1h=1, reasoning=3),
        service_tier="flex",
        logprobs=Raw(b"{}"),
        extras=(Extra("openai_chat", "system_fingerprint", Raw(b'"fp"')),),
    )
    written = write_answer(answer, ASKED)
    assert msgspec.json.decode(written.body) == {
        "id": "msg_1a2b",
        "type": "message",
        "role": "assistant",
        "model": "mine",
        "content": [],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "stop_details": None,
        "usage": {
            "input_tokens": 3,
            "cache_creation_input_tokens": 3,
            "cache_read_input_tokens": 4,
            "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 1},
            "output_tokens": 5,
            "output_tokens_details": {"thinking_tokens": 3},
        },
    }
    assert [loss.path for loss in written.losses] == ["logprobs", "system_fingerprint", "service_tier"]


def test_a_provider_that_counts_nothing_is_told_of() -> None:
    written = write_answer(Answer(id="", model="", parts=(), finish=Finish("stop")), ASKED)
    assert msgspec.json.decode(written.body)["usage"]["input_tokens"] == 0
    assert [loss.path for loss in written.losses] == ["usage"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"content":5}',
        b'{"content":[{}]}',
        b'{"content":[{"type":"tool_use","id":"t","name":"f","input":{"a":"\xff"}}]}',
    ],
)
def test_what_is_no_message_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        read_answer(body, MAKER, "n")


def test_a_count_is_read() -> None:
    assert read_count(b'{"input_tokens":42}') == 42
    with pytest.raises(Unreadable):
        read_count(b"{}")


BLOCKS: dict[str, dict[str, object]] = {
    "text": {"text": "Hello."},
    "thinking": {"thinking": "Hm.", "signature": "s"},
    "redacted_thinking": {"data": "d"},
    "tool_use": {"id": "toolu_1", "name": "f", "input": {"a": 1}},
}
ASTRAY = [(kind, name) for kind, own in BLOCKS.items() for each in BLOCKS.values() for name in each if name not in own]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("kind, name", ASTRAY)
def test_what_only_another_kind_of_block_has_is_told(kind: str, name: str, streamed: bool) -> None:
    value = next(each[name] for each in BLOCKS.values() if name in each)
    block = {"type": kind, **BLOCKS[kind], name: value}
    if streamed:
        reader = DOORS.read_stream("", "ID")
        begun = {"type": "content_block_start", "index": 0, "content_block": block}
        reader.feed(json.dumps(begun).encode(), b"content_block_start")
        losses = reader.losses
    else:
        losses = read_answer(json.dumps({"content": [block]}).encode(), "", "ID").losses
    assert [loss.path for loss in losses] == [f"content[].{name}"]
