"""Events to a whole answer: what a client that asked for no stream gets when the provider streams, and what tests compare streams by."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from halley.chat.events import Delta, Event, Failed, Finished, Noted, PartEnded, PartStarted, Started
from halley.chat.model import Answer, Audio, Extra, Inline, Part, Refusal, Text, Thinking, ToolCall
from halley.chat.usage import Usage


class BrokenStream(ValueError):
    """The events do not make a whole answer: they fail, are cut, or break the order."""


def fold(events: Iterable[Event]) -> Answer:
    """Raises BrokenStream."""
    started: Started | None = None
    parts: list[Part] = []
    open_part: Part | None = None
    said: list[str] = []
    usage: Usage | None = None
    extras: list[Extra] = []
    for event in events:
        match event:
            case Started():
                started, usage = event, event.usage
            case PartStarted(part=part):
                if open_part is not None:
                    raise BrokenStream("a part begins before the last one has ended")
                open_part, said = part, []
            case Delta(text=text):
                if open_part is None:
                    raise BrokenStream("more of a part that is not open")
                said.append(text)
            case PartEnded():
                if open_part is None:
                    raise BrokenStream("a part ends that is not open")
                parts.append(_complete(open_part, "".join(said), event))
                open_part = None
            case Noted():
                usage = event.usage or usage
                if event.raw is not None:
                    extras.append(Extra(event.dialect, event.what, event.raw))
            case Finished(finish=finish):
                if started is None or open_part is not None:
                    raise BrokenStream("the answer ends before it has begun, or within a part")
                return Answer(
                    id=started.id,
                    model=started.model,
                    created=started.created,
                    parts=tuple(parts),
                    finish=finish,
                    usage=event.usage or usage,
                    extras=tuple(extras),
                )
            case Failed(message=message):
                raise BrokenStream(message)
    raise BrokenStream("the stream was cut")


def _complete(part: Part, said: str, end: PartEnded) -> Part:
    replace = msgspec.structs.replace
    match part:
        case Text():
            return replace(part, text=part.text + said, seal=end.seal or part.seal, citations=part.citations + end.citations)
        case Thinking():
            return replace(part, text=part.text + said, seal=end.seal or part.seal)
        case ToolCall():
            return replace(part, arguments=part.arguments + said, seal=end.seal or part.seal)
        case Refusal():
            return replace(part, text=part.text + said)
        case Audio() if said and isinstance(part.source, Inline):
            return replace(part, source=replace(part.source, data=part.source.data + said))
        case _:
            return part
