"""Two dialects joined: what goes over, what is lost on the way, and how a stream ends. These are toys; real ones meet in the goldens."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from halley.chat.doors import Asked, Doors, ProviderError, Target, Unreadable, Written
from halley.chat.events import Delta, Event, Failed, Finished, PartEnded, PartStarted, Started
from halley.chat.model import Answer, Ask, Extra, Finish, Loss, Text, Turn
from halley.dialects.bridge import Bridge, carried
from halley.errors import Condition, Refused

ASK = Ask(model="m", turns=(Turn("user", (Text("hello"),)),), seed=7, stop=("x",))
TARGET = Target("theirs", "toy:p")


class ToyReader:
    """One letter per frame; `.` is the end, `!` an error, `?` nothing that this dialect has."""

    def __init__(self) -> None:
        self._begun = False

    def feed(self, payload: bytes, name: bytes = b"") -> list[Event]:
        if payload == b"?":
            raise Unreadable("no letter")
        if payload == b"!":
            return [Failed("overloaded", 529)]
        if payload == b".":
            return [PartEnded(), Finished(Finish("stop"))]
        begin: list[Event] = [] if self._begun else [Started("id", "theirs"), PartStarted(Text(""))]
        self._begun = True
        return [*begin, Delta(payload.decode())]

    def end(self) -> list[Event]:
        return [Failed("cut")]


class ToyWriter:
    def __init__(self) -> None:
        self.losses: list[Loss] = []

    def write(self, events: Sequence[Event]) -> bytes:
        return b" ".join(type(event).__name__.encode() for event in events) + b"\n"


def joined(ask: Ask, target: Target, asked: Asked) -> Bridge:
    return Bridge(TOY, TOY, target, asked, carried(ask, TOY, TOY, target))


def _write_ask(ask: Ask, target: Target) -> Written:
    if ask.temperature is not None:
        raise Refused(Condition.INVALID, "not hot", param="temperature")
    return Written(target.model.encode(), (Loss("stop", "no stops"), Loss("seed", "no seeds"), Loss("messages[0]", "as it is")))


def _read_ask(body: bytes) -> Ask:
    return ASK


def _read_answer(body: bytes, origin: str, new_id: str) -> Answer:
    return Answer(id=new_id, model=origin, parts=(Text(body.decode()),), finish=Finish("stop"))


def _write_answer(answer: Answer, asked: Asked) -> Written:
    return Written(f"{answer.id} {answer.model} {asked.model}".encode(), (Loss("logprobs", "none"),))


def _read_stream(origin: str, new_id: str) -> ToyReader:
    return ToyReader()


def _write_stream(asked: Asked) -> ToyWriter:
    return ToyWriter()


def _read_error(status: int, body: bytes) -> ProviderError:
    return ProviderError(status, body.decode())


def _write_error(refusal: Refused, request_id: str, /) -> tuple[int, bytes, bytes]:
    return 400, b"", b""


TOY = Doors(
    "toy",
    _read_ask,
    _write_ask,
    _read_answer,
    _write_answer,
    _read_stream,
    _write_stream,
    _read_error,
    _write_error,
    spelling={"stop": "stop_sequences"},
)


def bridge() -> Bridge:
    return joined(ASK, TARGET, Asked(ASK, "mine", "1", 7))


def test_losses_are_named_as_the_caller_spells_them() -> None:
    made = bridge()
    assert made.body == b"theirs"
    assert [loss.path for loss in made.losses] == ["stop_sequences", "seed", "messages[0]"]
    assert made.whole(b"x") == b"1 toy:p mine"
    assert [loss.path for loss in made.losses][3:] == ["logprobs"]
    assert made.error(503, b"no") == ProviderError(503, "no")


def test_what_must_not_be_lost_refuses_the_attempt() -> None:
    with pytest.raises(Refused, match="not hot"):
        joined(Ask(model="m", turns=(), temperature=2.0), TARGET, Asked(ASK, "mine", "1", 7))


def test_a_field_without_which_the_answer_is_another_is_refused_and_not_lost() -> None:
    kept = Extra("kept", "previous_response_id", msgspec.Raw(b'"resp_1"'), "responses are kept elsewhere", "previous_response_not_found")
    ask = msgspec.structs.replace(ASK, extras=(kept,))
    with pytest.raises(Refused) as caught:
        joined(ask, TARGET, Asked(ask, "mine", "1", 7))
    assert (caught.value.param, caught.value.code) == ("previous_response_id", "previous_response_not_found")
    own = msgspec.structs.replace(ASK, extras=(msgspec.structs.replace(kept, dialect="toy"),))
    assert joined(own, TARGET, Asked(own, "mine", "1", 7)).body == b"theirs"


def test_a_stream_goes_over_frame_by_frame_and_is_over_at_its_end() -> None:
    stream = bridge().stream()
    assert stream.feed(b"data: a\n\ndata: b\n\n") == b"Started PartStarted Delta Delta\n"
    assert not stream.over
    assert stream.feed(b": nothing\n\n") == b""
    assert stream.feed(b"data: .\n\ndata: c\n\n").startswith(b"PartEnded Finished")
    assert (stream.over, stream.failed) == (True, False)
    assert stream.feed(b"data: d\n\n") == stream.end() == b""


@pytest.mark.parametrize("last", [b"data: !\n\n", b""])
def test_a_stream_that_fails_or_is_cut_ends_with_the_failure(last: bytes) -> None:
    stream = bridge().stream()
    stream.feed(b"data: a\n\n")
    assert (stream.feed(last) if last else stream.end()) == b"Failed\n"
    assert (stream.over, stream.failed) == (True, True)
    assert stream.fail(Failed("again")) == b""


def test_a_frame_of_no_meaning_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        bridge().stream().feed(b"data: ?\n\n")
