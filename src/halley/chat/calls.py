"""Calls of a provider's answer as their caller knows them: by the names that he gave to his tools, with the input of a free tool in its
own language, which a provider without free tools wraps in a JSON object, and by an id that no call of the conversation has had: some hosts
begin at `call_0` in every answer, and a client that pairs results by ids alone never gets out of its loop (NVIDIA-NeMo/Switchyard#502).

A dialect with namespaces finds the tools of those by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from halley.chat.doors import StreamReader
from halley.chat.events import Delta, Event, PartEnded, PartStarted
from halley.chat.model import FreeTool, Function, Loss, Part, Tool, ToolCall, Turn
from halley.chat.naming import fit

P = TypeVar("P", bound=Part)
_wrapped = msgspec.json.Decoder(dict[str, str])


class Offered(NamedTuple):
    """A tool by its caller's name; `free`: its input is no JSON."""

    name: str
    free: bool


class Repeats:
    """Ids of calls, each once in a conversation: one that comes again has a number behind it."""

    __slots__ = ("_taken",)

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)

    def fresh(self, given: str) -> str:
        """The id, or another for one that was had before. An empty one is none."""
        made, number = given, 1
        while made in self._taken:
            number += 1
            made = f"{given}_{number}"
        if made:
            self._taken.add(made)
        return made


def had(turns: Iterable[Turn]) -> frozenset[str]:
    """The ids of all calls of a conversation."""
    return frozenset(part.id for turn in turns for part in turn.parts if isinstance(part, ToolCall) and part.id)


def unwrapped(arguments: str) -> str:
    """The one text of a JSON object, else all as it is."""
    try:
        (text,) = _wrapped.decode(arguments).values()
    except (msgspec.DecodeError, ValueError):
        return arguments
    return text


def offered(tools: Iterable[Tool]) -> dict[str, Offered]:
    """What calls have to be changed for, by the names that providers know."""
    found: dict[str, Offered] = {}
    for tool in tools:
        if isinstance(tool, Function | FreeTool) and tool.namespace is None:
            made = fit(tool.name)
            if made != tool.name or isinstance(tool, FreeTool):
                found[made] = Offered(tool.name, isinstance(tool, FreeTool))
    return found


def known(parts: Sequence[P], tools: Mapping[str, Offered], repeats: Repeats) -> tuple[P | ToolCall, ...]:
    """The parts of a whole answer."""
    return tuple(_known(part, tools, repeats) for part in parts)


def _known(part: P, tools: Mapping[str, Offered], repeats: Repeats) -> P | ToolCall:
    if not isinstance(part, ToolCall):
        return part
    part = msgspec.structs.replace(part, id=repeats.fresh(part.id))
    if (tool := tools.get(part.name)) is None:
        return part
    arguments = unwrapped(part.arguments) if tool.free and not part.free else part.arguments
    return msgspec.structs.replace(part, name=tool.name, free=tool.free or part.free, arguments=arguments)


class KnownCalls:
    """A stream's reader whose calls are known. The input of a free tool comes at once, when all of its object is there."""

    __slots__ = ("_held", "_read", "_reader", "_repeats", "_tools")

    def __init__(self, reader: StreamReader, tools: Mapping[str, Offered], repeats: Repeats) -> None:
        self._reader = reader
        self._read = reader.feed
        self._tools = tools
        self._repeats = repeats
        self._held: list[str] | None = None

    @property
    def losses(self) -> Sequence[Loss]:
        return self._reader.losses

    def feed(self, payload: bytes, name: bytes = b"") -> list[Event]:
        events = self._read(payload, name)
        # Nearly all that comes is one piece of a text.
        if len(events) == 1 and type(events[0]) is Delta and self._held is None:
            return events
        return self._all(events)

    def end(self) -> list[Event]:
        return self._all(self._reader.end())

    def _all(self, events: list[Event]) -> list[Event]:
        out: list[Event] = []
        for event in events:
            if type(event) is PartStarted and type(event.part) is ToolCall:
                out.append(self._begun(event, event.part))
            elif self._held is None:
                out.append(event)
            elif type(event) is Delta:
                self._held.append(event.text)
            elif type(event) is PartEnded:
                held, self._held = self._held, None
                out += (Delta(unwrapped("".join(held))), event)
            else:
                out.append(event)
        return out

    def _begun(self, event: PartStarted, part: ToolCall) -> PartStarted:
        id = self._repeats.fresh(part.id)
        tool = self._tools.get(part.name)
        if tool is None:
            return event if id == part.id else PartStarted(msgspec.structs.replace(part, id=id))
        if not tool.free or part.free:
            return PartStarted(msgspec.structs.replace(part, id=id, name=tool.name))
        self._held = [part.arguments]
        return PartStarted(msgspec.structs.replace(part, id=id, name=tool.name, free=True, arguments=""))
