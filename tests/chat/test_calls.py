"""A free tool is called in its own language, also by a provider that has none; and no id of a call comes twice in a conversation."""

from __future__ import annotations

import json

import pytest

from halley.chat.calls import KnownCalls, Repeats, known, offered, unwrapped
from halley.chat.doors import Asked, Target
from halley.chat.events import Delta, Event, Finished, PartEnded, PartStarted, Started
from halley.chat.fold import fold
from halley.chat.model import Answer, Ask, Finish, FreeTool, Function, Text, ToolCall, ToolResult, Turn
from halley.chat.usage import Usage
from halley.dialects import DOORS
from halley.dialects.bridge import Bridge, carried
from halley.wire import sse

PATCH = '*** Begin\n"a" \\ é'
TOOLS = (FreeTool("apply.patch"), Function("f"))


@pytest.mark.parametrize(
    ("arguments", "text"), [('{"input":"x"}', "x"), ('{"a":"x","b":"y"}', None), ('{"a":1}', None), ("x", None), ("", None)]
)
def test_one_text_in_an_object_is_that_text(arguments: str, text: str | None) -> None:
    assert unwrapped(arguments) == (arguments if text is None else text)


@pytest.mark.parametrize(
    ("client", "provider"),
    [(client, provider) for client in ("openai_chat", "openai_responses") for provider in DOORS if client != provider],
)
def test_a_call_of_a_free_tool_comes_back_as_one(client: str, provider: str) -> None:
    ask = Ask(model="m", turns=(Turn("user", (Text("hi"),)),), tools=TOOLS, wants_usage=True)
    target = Target("up", f"{provider}:x", most_output=100)
    bridge = Bridge(DOORS[client], DOORS[provider], target, Asked(ask, "m", "ID", 1), carried(ask, DOORS[client], DOORS[provider], target))
    native = provider in ("openai_chat", "openai_responses")
    tool = DOORS[provider].read_ask(bridge.body).tools[0]
    assert isinstance(tool, Function | FreeTool)
    call = ToolCall("c", tool.name, PATCH if native else json.dumps({"input": PATCH}), free=native)
    answer = Answer(id="1", model="up", parts=(call, ToolCall("d", "f", '{"input":"x"}')), finish=Finish("tool"), usage=Usage(1, 1))
    plain = Asked(Ask(model="up", turns=(), wants_usage=True), "up", "ID", 1)
    whole = DOORS[client].read_answer(bridge.whole(DOORS[provider].write_answer(answer, plain).body), "x:", "n")
    events: list[Event] = [Started("1", "up", 1)]
    for part in answer.parts:
        assert isinstance(part, ToolCall)
        empty = ToolCall(part.id, part.name, "", part.free)
        events += (PartStarted(empty), *map(Delta, (part.arguments[:5], part.arguments[5:])), PartEnded())
    stream = bridge.stream()
    said = stream.feed(DOORS[provider].write_stream(plain).write([*events, Finished(answer.finish, answer.usage)])) + stream.end()
    reader = DOORS[client].read_stream("x:", "n")
    streamed = fold([event for word, payload in sse.named(said) for event in reader.feed(payload, word)] + reader.end())
    for found in (whole, streamed):
        calls = [(part.name, part.free, part.arguments) for part in found.parts if isinstance(part, ToolCall)]
        assert calls == [("apply.patch", True, PATCH), ("f", False, '{"input":"x"}')]


def test_what_needs_no_change_is_left_alone() -> None:
    assert offered((Function("f"), FreeTool("g", namespace="n"))) == {}
    parts = (Text("x"), ToolCall("c", "other", "{}"))
    assert known(parts, offered(TOOLS), Repeats()) == parts

    class Reader:
        def feed(self, payload: bytes, name: bytes = b"") -> list[Event]:
            return [PartStarted(Text("")), Delta("x"), PartEnded()]

        def end(self) -> list[Event]:
            return []

    assert KnownCalls(Reader(), offered(TOOLS), Repeats()).feed(b"") == Reader().feed(b"")


@pytest.mark.parametrize(("client", "provider"), [(a, b) for a in DOORS for b in ("openai_chat", "openai_responses") if a != b])
def test_a_call_never_comes_under_the_id_of_an_earlier_one(client: str, provider: str) -> None:
    earlier = (ToolCall("call_0", "f", "{}"), ToolCall("call_0_2", "f", "{}"))
    results = tuple(ToolResult(call.id, (Text("r"),), "f") for call in earlier)
    turns = (Turn("user", (Text("hi"),)), Turn("assistant", earlier), Turn("user", results))
    ask = Ask(model="m", turns=turns, tools=(Function("f"),), wants_usage=True)
    target = Target("up", f"{provider}:x", most_output=100)
    mine, other = DOORS[client], DOORS[provider]
    bridge = Bridge(mine, other, target, Asked(ask, "m", "ID", 1), carried(ask, mine, other, target))
    plain = Asked(Ask(model="up", turns=(), wants_usage=True), "up", "ID", 1)
    calls = (ToolCall("call_0", "f", '{"a":1}'), ToolCall("call_1", "f", '{"a":2}'))
    answer = Answer(id="1", model="up", parts=calls, finish=Finish("tool"), usage=Usage(1, 1))
    whole = mine.read_answer(bridge.whole(other.write_answer(answer, plain).body), "x:", "n")
    events: list[Event] = [Started("1", "up", 1)]
    for part in calls:
        events += (PartStarted(ToolCall(part.id, part.name, "")), Delta(part.arguments), PartEnded())
    stream = bridge.stream()
    said = stream.feed(other.write_stream(plain).write([*events, Finished(answer.finish, answer.usage)])) + stream.end()
    reader = mine.read_stream("x:", "n")
    streamed = fold([event for word, payload in sse.named(said) for event in reader.feed(payload, word)] + reader.end())
    for found in (whole, streamed):
        assert [(part.id, part.arguments) for part in found.parts if isinstance(part, ToolCall)] == [
            ("call_0_3", '{"a":1}'),
            ("call_1", '{"a":2}'),
        ]


@pytest.mark.parametrize("client", ["openai_chat", "openai_responses", "gemini"])
def test_two_calls_of_one_answer_have_ids_of_their_own(client: str) -> None:
    ask = Ask(model="m", turns=(Turn("user", (Text("hi"),)),), tools=(Function("f"),), wants_usage=True)
    mine, other = DOORS[client], DOORS["anthropic"]
    target = Target("up", "anthropic:x", most_output=100)
    bridge = Bridge(mine, other, target, Asked(ask, "m", "ID", 1), carried(ask, mine, other, target))
    call = {"type": "tool_use", "id": "", "name": "f", "input": None}
    message = {
        "id": "1",
        "model": "up",
        "content": [call, call],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    found = mine.read_answer(bridge.whole(json.dumps(message).encode()), "x:", "n")
    calls = [part for part in found.parts if isinstance(part, ToolCall)]
    assert [json.loads(part.arguments) for part in calls] == [{}, {}]
    assert len({part.id for part in calls}) == 2
