"""Events fold to the answer that they stream, and whatever breaks their grammar is no answer."""

from __future__ import annotations

import pytest
from msgspec import Raw, json

from halley.chat.events import LOGPROBS, Delta, Event, Failed, Finished, Noted, PartEnded, PartStarted, Started
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


def likely(*tokens: str) -> Noted:
    entries = ",".join(f'{{"token":"{token}","logprob":-0.1}}' for token in tokens)
    return Noted(dialect="openai_chat", what=LOGPROBS, raw=Raw(f'{{"content":[{entries}]}}'.encode()))


def test_log_probabilities_come_in_pieces_and_the_tier_comes_last() -> None:
    text: list[Event] = [PartStarted(Text("")), Delta("ab"), PartEnded()]
    answer = fold([START, *text, likely("a"), likely(), likely("b", "c"), Finished(Finish("stop"), service_tier="flex")])
    assert answer.logprobs is not None
    assert [each["token"] for each in json.decode(answer.logprobs)["content"]] == ["a", "b", "c"]
    assert (answer.service_tier, answer.extras) == ("flex", ())


def test_log_probabilities_of_another_shape_are_kept_as_they_came() -> None:
    odd = Noted(dialect="openai_chat", what=LOGPROBS, raw=Raw(b"[1]"))
    assert fold([START, likely("a"), odd, END]).logprobs == Raw(b"[1]")


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
