"""Where the inputs of this dialect stand, and what its tests ask for most often."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from halley.chat.doors import Asked, Target
from halley.chat.events import Event
from halley.chat.model import Ask, Text, Turn
from halley.dialects.gemini import DOORS
from halley.wire import sse

FIXTURES = Path(__file__).parents[3] / "fixtures"
ORIGIN = "gemini:main"
TARGET = Target("gemini-2.5-flash", ORIGIN)
NEWER = Target("gemini-3-pro-preview", ORIGIN)
ASKED = Asked(Ask(model="mine", turns=(Turn("user", (Text("hello"),)),)), "mine", "abc", 7)
# A signature as Google makes them, and one of another maker as it stands in this dialect.
OWN = "CtwBAePx/14ZrqpYbWFkZSBieSB0aGUgbW9kZWwgaXRzZWxmLCBub3QgdG8gYmUgcmVhZA=="
FOREIGN = "aGFsbGV5LjEuYW50aHJvcGljOnRoZWlycy5FcG9CQ2tnSUNCQUIvdz09"


def ask(case: str) -> Ask:
    return DOORS.read_ask((FIXTURES / "asks" / "gemini" / f"{case}.json").read_bytes())


def reread(found: Ask, target: Target = TARGET) -> Ask:
    return DOORS.read_ask(DOORS.write_ask(found, target).body)


def plain(value: object) -> object:
    """Without the difference between raw values that are the same."""
    return json.loads(msgspec.json.encode(value))


def written(found: Ask, target: Target = TARGET) -> dict[str, object]:
    return json.loads(DOORS.write_ask(found, target).body)


def answer_bytes(case: str) -> bytes:
    return (FIXTURES / "answers" / "gemini" / f"{case}.json").read_bytes()


def stream_bytes(case: str) -> bytes:
    return (FIXTURES / "streams" / "gemini" / f"{case}.sse").read_bytes()


def cases(kind: str) -> list[str]:
    return sorted(path.stem for path in (FIXTURES / kind / "gemini").iterdir() if ".to-" not in path.name)


def read(data: bytes, *, ended: bool = True) -> list[Event]:
    reader = DOORS.read_stream(ORIGIN, "abc")
    events = [event for name, payload in sse.named(data) for event in reader.feed(payload, name)]
    return events + reader.end() if ended else events
