"""A flat name fits everywhere, leads back to its tool, and is never taken apart."""

from __future__ import annotations

import re

import pytest

from halley.chat.doors import Asked, Target
from halley.chat.events import Finished, PartEnded, PartStarted, Started
from halley.chat.fold import fold
from halley.chat.model import Answer, Ask, Choice, Finish, FreeTool, Function, Text, ToolCall, Turn, WebSearch
from halley.chat.naming import LONGEST, flat, named
from halley.chat.usage import Usage
from halley.dialects import DOORS
from halley.dialects.bridge import Bridge, carried
from halley.wire import sse


def test_a_name_without_a_namespace_stays_itself() -> None:
    assert flat("read__file", None) == "read__file"


def test_a_namespace_stands_in_front() -> None:
    assert flat("read", "files") == "files__read"


def test_a_long_name_fits_and_stays_its_own() -> None:
    one, other = flat("a" * 60 + "1", "files"), flat("a" * 60 + "2", "files")
    assert len(one) == len(other) == LONGEST
    assert one != other


def test_tools_are_found_by_their_flat_names() -> None:
    tools = (Function("read", namespace="files"), FreeTool("patch"), WebSearch())
    assert named(tools) == {"files__read": tools[0], "patch": tools[1]}


@pytest.mark.parametrize("name", ["fs.read:now", "7zip", "a" * 65, "größe", "fs_read_now"])
@pytest.mark.parametrize(("client", "provider"), [(one, other) for one in DOORS for other in DOORS if one != other])
def test_a_tool_of_any_name_is_called_by_that_name(client: str, provider: str, name: str) -> None:
    tools = (Function("fs_read_now"), Function(name)) if name != "fs_read_now" else (Function(name),)
    ask = Ask(model="m", turns=(Turn("user", (Text("hi"),)),), tools=tools, choice=Choice("any", (name,)), wants_usage=True)
    target = Target("up", f"{provider}:x", most_output=100)
    bridge = Bridge(DOORS[client], DOORS[provider], target, Asked(ask, "m", "ID", 1), carried(ask, DOORS[client], DOORS[provider], target))
    sent = DOORS[provider].read_ask(bridge.body)
    assert sent.choice is not None
    (called,) = sent.choice.names
    assert re.fullmatch("[a-zA-Z_][a-zA-Z0-9_-]{0,63}", called) and called in {getattr(tool, "name", "") for tool in sent.tools}
    assert (called == name) == (name == "fs_read_now")
    answer = Answer(id="1", model="up", parts=(ToolCall("c", called, "{}"),), finish=Finish("tool"), usage=Usage(1, 1))
    asked = Asked(ask, "up", "ID", 1)
    whole = DOORS[client].read_answer(bridge.whole(DOORS[provider].write_answer(answer, asked).body), "x:", "n")
    stream = bridge.stream()
    part = answer.parts[0]
    events = [Started("1", "up", 1), PartStarted(part), PartEnded(), Finished(answer.finish, answer.usage)]
    said = stream.feed(DOORS[provider].write_stream(asked).write(events)) + stream.end()
    reader = DOORS[client].read_stream("x:", "n")
    streamed = fold([event for word, payload in sse.named(said) for event in reader.feed(payload, word)] + reader.end())
    assert [getattr(part, "name", "") for found in (whole, streamed) for part in found.parts] == [name, name]
