"""Events fold to the answer that they stream, and whatever breaks their grammar is no answer."""

from __future__ import annotations

import pytest
from msgspec import Raw

from halley.chat.events import Delta, Event, Failed, Finished, Noted, PartEnded, PartStarted, Started
from halley.chat.fold import BrokenStream, fold
from halley.chat.model import Answer, Audio, Citation, Finish, Inline, Opaque, Refusal, Seal, Text, Thinking, ToolCall
from halley.chat.usage import Usage

START, END = Started("id", "model", 7), Finished(Finish("stop"))
SEAL, SOURCE = Seal("anthropic:x", "s"), Citation(url="https://example.org", start=0, end=2)


def test_every_kind_of_part_is_put_together() -> None:
    events: list[Event] = [START]
    for part, pieces in (
        (Thinking(""), ("hm", "m")),
        (Text(""), ("a", "b", "")),
        (ToolCall("c1", "f", ""), ('{"a"', ":1}")),
        (Refusal(""), ("no",)),
        (Audio(Inline("audio/wav", "")), ("QUJD", "REVG")),
        (Opaque("gemini", "code", Raw(b"{}")), ()),
    ):
        events += [PartStarted(part), *map(Delta, pieces), PartEnded(SEAL, (SOURCE,))]
    usage = Usage(3, 4)
    events += [Noted(usage=usage), END]
    assert fold(events) == Answer(
        id="id",
        model="model",
        created=7,
        parts=(
            Thinking("hmm", seal=SEAL),
            Text("ab", seal=SEAL, citations=(SOURCE,)),
            ToolCall("c1", "f", '{"a":1}', seal=SEAL),
            Refusal("no"),
            Audio(Inline("audio/wav", "QUJDREVG")),
            Opaque("gemini", "code", Raw(b"{}")),
        ),
        finish=Finish("stop"),
        usage=usage,
    )


@pytest.mark.parametrize(
    "events",
    [
        [],
        [START],
        [END],
        [START, PartStarted(Text(""))],
        [START, PartStarted(Text("")), END],
        [START, PartStarted(Text("")), PartStarted(Text("")), PartEnded(), END],
        [START, Delta("x"), END],
        [START, PartEnded(), END],
        [START, Failed("overloaded", 529)],
    ],
)
def test_a_broken_order_is_no_answer(events: list[Event]) -> None:
    with pytest.raises(BrokenStream):
        fold(events)
