"""A batch with an absurd record in it: its own record is kept as a stray, and everybody else is settled."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from halley.chat.usage import Usage
from halley.store import fold, schema, sift
from halley.store.database import Away, Store
from halley.store.journal import End, Progress, Start, encode
from halley.store.replay import Position, Read, parse
from halley.store.verify import verify

RELAY = "relay-0-1-1"
Pair = Callable[..., tuple[Start, End]]
HUGE = 10**30

ABSURD: dict[str, Callable[[Start, End], tuple[Start | Progress | End, ...]]] = {
    "a hold beyond 64 bits": lambda start, end: (msgspec.structs.replace(start, hold=HUGE),),
    "a hold below zero": lambda start, end: (msgspec.structs.replace(start, hold=-1),),
    "an estimate beyond 64 bits": lambda start, end: (msgspec.structs.replace(start, input_estimate=HUGE),),
    "attempts beyond 64 bits": lambda start, end: (start, msgspec.structs.replace(end, attempts=HUGE)),
    "bytes beyond 64 bits": lambda start, end: (start, msgspec.structs.replace(end, bytes_out=HUGE)),
    "a charge beyond 64 bits": lambda start, end: (start, msgspec.structs.replace(end, charge=HUGE)),
    "a charge below zero": lambda start, end: (start, msgspec.structs.replace(end, charge=-1)),
    "a progress beyond 64 bits": lambda start, end: (start, Progress(start.request, 1.5, "p", Usage(), HUGE)),
    "an end without its start": lambda start, end: (end,),
    "a start of nobody": lambda start, end: (msgspec.structs.replace(start, account="nobody"),),
}


@pytest.mark.parametrize("what", ABSURD)
def test_an_absurd_record_is_kept_and_holds_up_nobody(store: Store, pair: Pair, what: str) -> None:
    before, absurd, after = pair(), ABSURD[what](*pair()), pair()
    data = encode([*before, *absurd, *after])
    assert sift.book(store, RELAY, parse(data, Position()), 3.0) == 2
    with store.begin() as connection:
        ended = set(connection.scalars(select(schema.requests.c.id).where(schema.requests.c.ending.is_not(None))))
        assert ended == {before[0].request, after[0].request}
        assert fold.position(connection, RELAY) == Position(len(data), 0, len(data))
        (stray,) = connection.execute(select(schema.strays)).all()
        assert stray.line == encode([absurd[-1]]).strip() and stray.relay == RELAY and stray.reason
        assert {each.check for each in verify(connection).differences} == {"nothing_was_left_out"}
        # What the absurd one had opened ends with its relay.
        assert fold.end_of_relay(connection, RELAY, 4.0) == len(absurd) - 1
        assert {each.check for each in verify(connection).differences} == {"nothing_was_left_out"}
    before_again = sift.book(store, RELAY, parse(data, Position()), 5.0)
    assert before_again == 0


def test_a_store_that_takes_nothing_is_no_refusal(store: Store, pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OperationalError("INSERT", {}, Exception("database or disk is full"))

    monkeypatch.setattr(fold, "fold", full)
    with pytest.raises((OperationalError, Away), match="disk is full"):
        sift.book(store, RELAY, Read(pair(), (), Position(1, 0, 1)), 3.0)
    with store.begin() as connection:
        assert connection.execute(select(schema.strays)).all() == []
