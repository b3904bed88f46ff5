"""Events to a whole answer: what a client that asked for no stream gets when the provider streams, and what tests compare streams by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from halley.chat.events import LOGPROBS, Delta, Event, Failed, Finished, Noted, PartEnded, PartStarted, Started
from halley.chat.model import Answer, Audio, Extra, Inline, Part, Refusal, Text, Thinking, ToolCall
from halley.chat.usage import Usage
from halley.wire.jsonbody import BROKEN


class _Likely(msgspec.Struct):
    content: list[msgspec.Raw] | None = None


_decode_likely = msgspec.json.Decoder(_Likely).decode


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
    likely: list[msgspec.Raw] = []
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
                if event.raw is not None and event.what == LOGPROBS:
                    likely.append(event.raw)
                elif event.raw is not None:
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
                    logprobs=joined(likely) if likely else None,
                    service_tier=event.service_tier,
                    extras=tuple(extras),
                )
            case Failed(message=message):
                raise BrokenStream(message)
    raise BrokenStream("the stream was cut")


def joined(likely: Sequence[msgspec.Raw]) -> msgspec.Raw:
    """Log probabilities that a stream said in pieces; of another shape, the last of them as it is."""
    content: list[msgspec.Raw] = []
    try:
        for raw in likely:
            content += _decode_likely(raw).content or ()
    except BROKEN:
        return likely[-1]
    return msgspec.Raw(msgspec.json.encode({"content": content}))


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
