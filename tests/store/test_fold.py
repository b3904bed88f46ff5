"""Folding: what the ledger holds after a journal was read, once, twice, or half."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import msgspec
import pytest
from msgspec import structs
from sqlalchemy import event, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from halley.chat.usage import Usage
from halley.store import alerts, customers, fold, ledger, schema
from halley.store.database import Store
from halley.store.journal import End, Progress, Record, Start
from halley.store.replay import Position, Read
from halley.store.verify import verify

RELAY = "relay-0-1-1"
Pair = Callable[..., tuple[Start, End]]


def read(*records: Record, at: int = 0) -> Read:
    return Read(records, (), Position(at + 1, 0, at + 1))


def balances(store: Store) -> dict[str, int]:
    with store.begin() as connection:
        return {row.ledger_account: row.amount for row in connection.execute(select(schema.balances))}


def test_endings_become_one_posting_per_account_and_batch(store: Store, pair: Pair) -> None:
    pairs = [pair() for _ in range(5)] + [pair("free") for _ in range(3)]
    with store.begin() as connection:
        count = fold.fold(connection, RELAY, read(*(record for each in pairs for record in each)), 3.0)
        kinds = connection.scalar(select(func.count()).select_from(schema.postings).where(schema.postings.c.kind == "settle"))
        lease = ledger.lease(connection, "acme", RELAY)
        found = verify(connection)
    charge = pairs[0][1].charge
    assert (count, kinds) == (8, 2)
    assert lease is not None and lease.charged == 5 * charge
    kept = balances(store)
    assert kept["held:acme"] == 10**11 - 5 * charge
    assert kept["owed:free"] == -3 * charge
    assert kept["revenue"] == 8 * charge
    assert found.differences == ()


def test_replaying_a_journal_twice_gives_the_same_ledger(store: Store, pair: Pair) -> None:
    records = [record for _ in range(10) for record in pair()]
    with store.begin() as connection:
        fold.fold(connection, RELAY, read(*records), 3.0)
    once = balances(store)
    with store.begin() as connection:
        assert fold.fold(connection, RELAY, read(*records, at=1), 4.0) == 0
        assert verify(connection).differences == ()
    assert balances(store) == once


def test_a_start_and_its_end_may_lie_in_different_batches(store: Store, pair: Pair) -> None:
    start, end = pair()
    with store.begin() as connection:
        assert fold.fold(connection, RELAY, read(start), 3.0) == 0
        assert fold.count_open(connection) == 1
    with store.begin() as connection:
        assert fold.fold(connection, RELAY, read(end, at=1), 4.0) == 1
        assert fold.count_open(connection) == 0
        assert verify(connection).differences == ()


def test_any_part_of_a_journal_may_come_again_at_any_time(store: Store, pair: Pair) -> None:
    pairs = [pair() for _ in range(4)]
    records = [record for each in zip(*pairs, strict=True) for record in each]
    for number, (first, last) in enumerate(itertools.combinations(range(len(records) + 1), 2)):
        with store.begin() as connection:
            fold.fold(connection, RELAY, read(*records[first:last], at=number), 3.0)
    with store.begin() as connection:
        stray = {row.reason for row in connection.execute(select(schema.strays))}
        ended = connection.scalar(select(func.count()).select_from(schema.requests).where(schema.requests.c.ending.is_not(None)))
        assert {each.check for each in verify(connection).differences} <= {"nothing_was_left_out"}
    assert (ended, stray) == (4, set())
    assert balances(store)["revenue"] == sum(end.charge for _, end in pairs)


def test_a_journal_that_repeats_a_request_in_one_batch_and_the_next_charges_it_once(store: Store, pair: Pair) -> None:
    (start, end), (other, last) = pair(), pair()
    batches = [[start], [start, end, end, start], [end, other], [other, start, last, end], [start, end, other, last]]
    counts: list[int] = []
    for number, records in enumerate(batches):
        with store.begin() as connection:
            counts.append(fold.fold(connection, RELAY, read(*records, at=number), 3.0))
    with store.begin() as connection:
        assert fold.count_open(connection) == 0 and verify(connection).differences == ()
    assert counts == [0, 1, 0, 1, 0]
    assert balances(store)["revenue"] == end.charge + last.charge


def test_a_dead_relay_is_charged_the_last_progress_and_its_lease_goes_back(store: Store, pair: Pair) -> None:
    (streamed, _), (silent, _) = pair(), pair()
    early = Progress(streamed.request, 1.5, "p", Usage(100, 10), 140_000)
    late = Progress(streamed.request, 1.8, "p", Usage(100, 20), 180_000)
    with store.begin() as connection:
        fold.fold(connection, RELAY, read(streamed, silent, early, late), 3.0)
        assert fold.end_of_relay(connection, RELAY, 4.0) == 2
        rows = {row.id: row for row in connection.execute(select(schema.requests))}
        assert verify(connection).differences == ()
    assert (rows[streamed.request].ending, rows[streamed.request].charge) == ("crash", 180_000)
    assert (rows[silent.request].ending, rows[silent.request].charge) == ("crash", 0)
    kept = balances(store)
    assert (kept["held:acme"], kept["available:acme"]) == (0, 10**12 - 180_000)


def test_a_loss_is_booked_beside_the_customer(store: Store, pair: Pair) -> None:
    with store.begin() as connection:
        fold.fold(connection, RELAY, read(*pair(loss=77_000)), 3.0)
        assert verify(connection).differences == ()
    kept = balances(store)
    assert (kept["operator_loss"], kept["provider_cost"], kept["held:acme"]) == (-77_000, 77_000, 10**11)


def test_a_charge_above_its_hold_and_what_has_no_price_are_told_once_an_hour(store: Store, pair: Pair) -> None:
    over = [pair() for _ in range(3)]
    over = [(start, msgspec.structs.replace(end, charge=start.hold, loss=9 + index)) for index, (start, end) in enumerate(over)]
    broke, unpriced = pair(), pair()
    broke = broke[0], msgspec.structs.replace(broke[1], ending="broke", charge=0, loss=7)
    unpriced = unpriced[0], msgspec.structs.replace(unpriced[1], unpriced=("tool.web_search",))
    with store.begin() as connection:
        fold.fold(connection, RELAY, read(*broke, *over[0], over[1][0]), 10.0)
        fold.fold(connection, RELAY, read(over[1][1], *unpriced, at=1), 11.0)
        fold.fold(connection, RELAY, read(*over[2], at=2), 11.0 + alerts.QUIET_S)
        told = [(each.kind, msgspec.json.decode(each.body)["data"]) for each in alerts.untold(connection)]
    assert [kind for kind, _ in told] == [alerts.EXCEEDED, alerts.UNPRICED, alerts.EXCEEDED]
    assert [(data["request"], data["loss_nano"]) for kind, data in told if kind == alerts.EXCEEDED] == [
        (over[0][0].request, 9),
        (over[2][0].request, 11),
    ]
    assert told[1][1]["unpriced"] == ["tool.web_search"]


def test_an_end_without_a_start_and_a_start_of_nobody_are_kept_as_strays(store: Store, pair: Pair) -> None:
    _, orphan = pair()
    foreign, _ = pair(account="nobody")
    with store.begin() as connection:
        fold.fold(connection, RELAY, read(orphan, foreign), 3.0)
        assert [each.check for each in verify(connection).differences] == ["nothing_was_left_out"] * 2


def test_a_loss_beyond_sixty_four_bits_stops_nobody_elses_settlement(store: Store, pair: Pair) -> None:
    with store.begin() as connection:
        assert fold.fold(connection, RELAY, read(*pair(loss=10**21), *pair(loss=77_000)), 3.0) == 1
        assert [each.check for each in verify(connection).differences] == ["nothing_was_left_out"]
        assert fold.count_open(connection) == 1, "the one that could not be settled is ended with its relay"
        assert fold.end_of_relay(connection, RELAY, 4.0) == 1
    assert balances(store)["operator_loss"] == -77_000


def test_a_second_ending_fails_on_the_unique_index(store: Store, pair: Pair) -> None:
    start, end = pair()
    with store.begin() as connection:
        fold.fold(connection, RELAY, read(start, end), 3.0)
        row = dict(connection.execute(select(schema.requests)).one()._mapping)
    with pytest.raises(IntegrityError, match=r"UNIQUE|unique"), store.begin() as connection:
        connection.execute(insert(schema.requests).values(**row | {"ending": "left"}))
    with pytest.raises(IntegrityError, match="append-only"), store.begin() as connection:
        connection.execute(update(schema.requests).values(ending="left"))


def test_a_second_hold_fails_on_the_unique_index(store: Store, pair: Pair) -> None:
    start, _ = pair()
    with store.begin() as connection:
        fold.fold(connection, RELAY, read(start), 3.0)
        row = dict(connection.execute(select(schema.requests)).one()._mapping)
    with pytest.raises(IntegrityError, match=r"UNIQUE|unique"), store.begin() as connection:
        connection.execute(insert(schema.requests).values(**row))


def test_folding_keeps_up_with_five_thousand_requests_a_second(store: Store, pair: Pair) -> None:
    batches = [[record for _ in range(2000) for record in pair()] for _ in range(5)]
    began = time.perf_counter()
    for number, records in enumerate(batches):
        with store.begin() as connection:
            fold.fold(connection, RELAY, read(*records, at=number), 3.0)
    rate = 10_000 / (time.perf_counter() - began)
    print(f"folded {rate:.0f} requests/s")
    assert rate > 500


def test_a_journal_that_comes_back_after_its_lease_was_closed_is_booked_once_and_the_account_pays(store: Store, pair: Pair) -> None:
    known, late, open_ = pair(), pair(), pair()
    with store.begin() as connection:
        fold.fold(connection, RELAY, read(*known), 3.0)
        assert fold.end_of_relay(connection, RELAY, 4.0) == 0
    before = balances(store)
    assert before["held:acme"] == 0
    for turn in range(3):
        with store.begin() as connection:
            assert fold.fold(connection, RELAY, read(*known, *late, open_[0], at=1 + turn), 5.0) == (1 if turn == 0 else 0)
            assert fold.end_of_relay(connection, RELAY, 6.0) == (1 if turn == 0 else 0)
            assert verify(connection).differences == ()
    after = balances(store)
    assert after["held:acme"] == 0
    assert after["available:acme"] == before["available:acme"] - late[1].charge
    assert after["revenue"] == before["revenue"] + late[1].charge


def test_what_was_spent_twice_meanwhile_is_owed(store: Store, pair: Pair) -> None:
    late = pair()
    with store.begin() as connection:
        fold.end_of_relay(connection, RELAY, 4.0)
        customers.add_credit(connection, "acme", -(10**12), 4.5)
        fold.fold(connection, RELAY, read(*late), 5.0)
        fold.fold(connection, "relay-9-without-any-lease", read(*pair()), 5.0)
        for relay in (RELAY, "relay-9-without-any-lease"):
            fold.end_of_relay(connection, relay, 6.0)
        assert verify(connection).differences == ()
    assert balances(store)["available:acme"] == -2 * late[1].charge


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_many_accounts_take_as_many_journeys_to_the_database_as_few(store: Store, pair: Callable[..., tuple[Start, End]]) -> None:
    names = [f"account-{number}" for number in range(40)]
    with store.begin() as connection:
        for name in names:
            customers.create_account(connection, name, 0.0, unlimited=False)
            customers.add_credit(connection, name, 10**9, 0.0)
            ledger.grant(connection, name, RELAY, 10**8, 0.0)
    asked: list[str] = []
    counts: list[tuple[int, int]] = []
    for offset, some in enumerate((names[:2], names), 1):
        records = [
            structs.replace(record, leased=True) if isinstance(record, Start) else record for name in some for record in pair(account=name)
        ]
        with store.begin() as connection:
            event.listen(connection, "before_cursor_execute", lambda *given: asked.append(given[2]))
            fold.fold(connection, RELAY, Read(tuple(records), (), Position(offset, 0, offset)), 3.0)
            folded = len(asked)
            fold.end_of_relay(connection, RELAY if some is names else "nobody", 4.0)
            counts.append((folded, len(asked) - folded))
        asked.clear()
    with store.begin() as connection:
        assert verify(connection).differences == ()
        assert ledger.open_leases(connection, relay=RELAY) == []
        assert {ledger.balance(connection, ledger.held(name)) for name in names} == {0}
    assert counts[0][0] == counts[1][0], counts
    assert counts[1][1] < 20, counts
