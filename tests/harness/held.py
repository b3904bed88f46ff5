"""What is held of every reader and writer, whatever it is fed: an answer, or the refusal that its door promises. Nothing else gets out."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from halley.chat import seals
from halley.chat.doors import Asked, Doors, Target, Unreadable
from halley.chat.events import Delta, Event, Failed, Finished, PartEnded, PartStarted, Started
from halley.chat.fold import BrokenStream, fold
from halley.chat.model import Ask, Finish, Text, ToolCall, Turn
from halley.dialects import DOORS
from halley.dialects import SPOKEN as _SPOKEN
from halley.dialects.bridge import Bridge, carried
from halley.errors import Condition, Refused
from halley.wire import sse

ID = "0123456789ABCDEFGHJKMNPQRS"
SPOKEN = {dialect.name: dialect for dialect in _SPOKEN.values()}
PATHS = {"gemini": b"/v1beta/models/m:streamGenerateContent"}
_SAID: list[Event] = [
    Started("id", "m"),
    PartStarted(Text("")),
    Delta("hello"),
    PartEnded(),
    PartStarted(ToolCall("c", "f", "")),
    Delta("{}"),
    PartEnded(),
    Finished(Finish("tool")),
]
_ANSWER = fold(_SAID)
_PLAIN = Ask(model="m", turns=(Turn("user", (Text("hello"),)),), wants_usage=True)


def target(doors: Doors) -> Target:
    return Target("upstream-model", seals.origin(doors.name, "upstream"), most_output=8192)


def asked(ask: Ask = _PLAIN) -> Asked:
    return Asked(ask, "m", ID, 1_767_225_600)


def an_ask(name: str, body: bytes) -> None:
    """Peeked at, passed on, read, and written in every dialect."""
    dialect = SPOKEN[name]
    sound = False
    with contextlib.suppress(Refused):
        seen = dialect.peek(body, PATHS.get(name, b""))
        dialect.outbound(body, seen, "another", 5, "max_tokens")
        sound = True
    try:
        ask = DOORS[name].read_ask(body)
    except Refused as refusal:
        assert refusal.condition in (Condition.INVALID, Condition.UNKNOWN_MODEL), refusal
        return
    if not sound:
        return  # what is not even passed on is not translated
    for doors in DOORS.values():
        with contextlib.suppress(Refused):
            doors.write_ask(ask, target(doors))
    DOORS[name].write_answer(_ANSWER, asked(ask))
    stream = DOORS[name].write_stream(asked(ask))
    stream.write(_SAID)
    assert stream.losses is not None


def an_answer(name: str, body: bytes) -> None:
    """Read whole, and written in every dialect; and as an error."""
    dialect, doors = SPOKEN[name], DOORS[name]
    dialect.read_whole(body)
    dialect.is_error(body)
    doors.read_error(400, body)
    try:
        answer = doors.read_answer(body, target(doors).origin, ID)
    except Unreadable:
        return
    for other in DOORS.values():
        other.write_answer(answer, asked())


def a_stream(name: str, data: bytes) -> None:
    """Metered, read frame by frame, and written in every dialect."""
    meter = SPOKEN[name].meter(SPOKEN["openai_chat"].peek(b'{"model":"m","messages":[{"role":"user","content":"a"}]}', b""), strip=False)
    meter.feed(data)
    meter.rest()
    provider = DOORS[name]
    events = _events(provider, data)
    with contextlib.suppress(BrokenStream):
        fold(events)
    for client in DOORS.values():
        bridge = Bridge(client, provider, target(provider), asked(), carried(_PLAIN, client, provider, target(provider)))
        stream = bridge.stream()
        try:
            for frame in sse.frames(data):
                stream.feed(frame)
            stream.end()
        except Unreadable:
            stream.fail(Failed("broken", 502))
        assert stream.losses is not None


def _events(provider: Doors, data: bytes) -> list[Event]:
    reader = provider.read_stream(target(provider).origin, ID)
    events: list[Event] = []
    try:
        for name, payload in sse.named(data):
            events += reader.feed(payload, name)
            if events and isinstance(events[-1], Finished | Failed):
                break
        else:
            events += reader.end()
    except Unreadable:
        pass
    assert in_order(events), events
    return events


def in_order(events: Sequence[Event]) -> bool:
    """The grammar of `chat.events`: it begins once and first, parts do not overlap, deltas are of a part, and nothing follows the end."""
    within = False
    for index, event in enumerate(events):
        match event:
            case Started():
                good = index == 0
            case Failed():
                good = index == len(events) - 1
            case Finished():
                good = index == len(events) - 1 and index > 0 and not within
            case PartStarted():
                good, within = index > 0 and not within, True
            case Delta():
                good = within
            case PartEnded():
                good, within = within, False
            case _:
                good = index > 0
        if not good:
            return False
    return True
