"""What is fuzzed: every reader that is fed by a stranger, with what it may raise. Its corpus are the fixtures, and no test is asked twice.

A target's number is the first byte of its inputs.
"""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

from halley.wire import eventstream, jsonbody, sse
from tests.harness import held, mutants
from tests.harness.goldens import FIXTURES


class Target(NamedTuple):
    """`kind` is the fixtures' folder, empty for bytes without any; `hold` raises what nobody expects."""

    name: str
    dialect: str
    kind: str
    hold: Callable[[bytes], None]


def _json(data: bytes) -> None:
    with contextlib.suppress(jsonbody.Malformed):
        jsonbody.gate(data)
        members = jsonbody.members(data)
        places = jsonbody.places(data, members)
        changed = jsonbody.set_members(data, members, {"model": b'"x"'})
        assert changed == jsonbody.set_members(data, places, {"model": b'"x"'})
        assert json.loads(changed)["model"] == "x"
        jsonbody.check_one_reading(data, members, frozenset(("model", "stream")), {"messages": b"url"})
    jsonbody.is_object(data)


def _frames(data: bytes) -> None:
    """However the bytes are cut, the same frames."""
    splitter = sse.Splitter()
    size = 1 + (data[0] if data else 0) % 7
    pieces = [data[place : place + size] for place in range(0, len(data), size)]
    complete = b"".join(map(splitter.complete, pieces))
    assert complete + splitter.rest == data
    assert b"".join(sse.frames(data)) == data
    for _, payload in sse.named(data):
        assert payload


def _messages(data: bytes) -> None:
    splitter = eventstream.Splitter()
    try:
        for message in splitter.feed(data):
            eventstream.chunk(message)
    except eventstream.Corrupt:
        return
    assert splitter.rest <= len(data)


def _every() -> Iterator[Target]:
    holds = (("asks", held.an_ask), ("answers", held.an_answer), ("streams", held.a_stream))
    for dialect in held.SPOKEN:
        for kind, hold in holds:
            yield Target(f"{kind} of {dialect}", dialect, kind, lambda data, hold=hold, dialect=dialect: hold(dialect, data))
    yield Target("JSON bodies", "openai_chat", "asks", _json)
    yield Target("frames", "openai_chat", "streams", _frames)
    yield Target("event streams", "", "", _messages)


TARGETS = tuple(_every())


def corpus() -> Iterator[bytes]:
    """The inputs that a campaign begins with."""
    for number, target in enumerate(TARGETS):
        for data in mutants.fixtures(FIXTURES, target.kind, target.dialect) if target.kind else ():
            yield bytes((number,)) + data
        if not target.kind:
            yield bytes((number,)) + eventstream.render_chunk(b'{"type":"ping"}')
            yield bytes((number,)) + eventstream.render_failure(eventstream.Failure("throttlingException", "slow down"))


def spoiled(data: bytes, dice: random.Random) -> bytes | None:
    """A mutant of an input as the document or the stream that it is; None where it is neither."""
    target = TARGETS[data[0] % len(TARGETS)]
    if target.kind == "streams":
        others = _lent(target)
        frames = mutants.events(data[1:]) or mutants.events(dice.choice(others))
        return data[:1] + mutants.mutant_stream(frames, [mutants.events(dice.choice(others))], dice)
    try:
        document = json.loads(data[1:])
        other = json.loads(dice.choice(_lent(target)))
        return data[:1] + mutants.mutant(document, [other, document], dice)
    except (ValueError, IndexError, RecursionError):
        return None


def _lent(target: Target) -> list[bytes]:
    found = _FIXTURES.get(target.name)
    if found is None:
        found = _FIXTURES[target.name] = mutants.fixtures(FIXTURES, target.kind, target.dialect) if target.kind else []
    return found


_FIXTURES: dict[str, list[bytes]] = {}
