"""Claims of Idempotency-Keys in the store: one for a key, free again when its request ended for nothing, gone after their time."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from halley.store import claims, fold
from halley.store.database import Store
from halley.store.journal import End, Sealed, Start
from halley.store.messages import DONE, HELD, OTHER, RUNNING, Claim, ClaimGone, ClaimWanted
from halley.store.replay import Position, Read

Pair = Callable[..., tuple[Start, End]]

DAY_S = 86400.0


def wanted(request: str, *, account: str = "acme", key: bytes = b"k", body: bytes = b"b") -> ClaimWanted:
    return ClaimWanted(1, account, key, body, request)


def claim(store: Store, question: ClaimWanted, at: float = 10.0, folded: tuple[str, ...] = ()) -> Claim:
    with store.begin() as connection:
        return claims.claim(connection, question, "relay-0", at, DAY_S, folded)


def book(store: Store, *records: object) -> None:
    with store.begin() as connection:
        fold.fold(connection, "relay-0", Read(tuple(records), (), Position(1, 0, 1)), 10.0)  # type: ignore[arg-type]


def test_the_first_holds_a_key_and_may_ask_twice(store: Store) -> None:
    assert claim(store, wanted("req_1")) == claim(store, wanted("req_1")) == Claim(HELD)
    assert claim(store, wanted("req_2")) == Claim(RUNNING, "req_1")
    assert claim(store, wanted("req_2", body=b"c")).standing in (RUNNING, OTHER)
    for other in (wanted("req_3", account="free"), wanted("req_4", key=b"l")):
        assert claim(store, other) == Claim(HELD)


def test_another_body_is_told_so_at_every_time(store: Store, pair: Pair) -> None:
    start, end = pair()
    assert claim(store, wanted(start.request)) == Claim(HELD)
    assert claim(store, wanted("req_2", body=b"c")) == Claim(OTHER, start.request)
    book(store, start, end)
    assert claim(store, wanted("req_2", body=b"c")) == Claim(OTHER, start.request, end.ending)


def test_an_answer_that_was_sealed_is_there_with_its_charge_and_one_that_was_not_is_told(store: Store, pair: Pair) -> None:
    for number, sealed in enumerate((b"sealed", None)):
        key = b"%d" % number
        start, end = pair()
        assert claim(store, wanted(start.request, key=key)) == Claim(HELD)
        book(store, start)
        assert claim(store, wanted("req_2", key=key)) == Claim(RUNNING, start.request)
        book(store, *((Sealed(start.request, "acme", key, sealed),) if sealed else ()), end)
        assert end.charge > 0
        assert claim(store, wanted("req_2", key=key)) == Claim(DONE, start.request, end.ending, end.charge, sealed)


@pytest.mark.parametrize(
    "ending, charge, free",
    [
        ("failed", 0, True),
        ("broke", 0, True),
        ("broke", 5, False),
        ("left", 0, True),
        ("left", 5, False),
        ("unusable", 0, True),
        ("complete", 0, False),
    ],
)
def test_what_ended_for_nothing_frees_its_key(store: Store, pair: Pair, ending: str, charge: int, free: bool) -> None:
    start, end = pair()
    claim(store, wanted(start.request))
    book(store, start, msgspec.structs.replace(end, ending=ending, charge=charge))
    found = claim(store, wanted("req_2", body=b"c" if free else b"b"))
    assert found == (Claim(HELD) if free else Claim(DONE, start.request, ending, charge))
    assert claim(store, wanted("req_3")).request == ("req_2" if free else start.request)


def test_an_answer_of_a_request_that_lost_its_claim_is_nobodys(store: Store, pair: Pair) -> None:
    start, end = pair()
    claim(store, wanted(start.request))
    book(store, start, msgspec.structs.replace(end, ending="failed", charge=0))
    assert claim(store, wanted("req_2")) == Claim(HELD)
    book(store, Sealed(start.request, "acme", b"k", b"late"))
    assert claim(store, wanted("req_3")) == Claim(RUNNING, "req_2")


def test_a_relay_that_dies_frees_what_it_never_began_and_settles_what_it_had(store: Store, pair: Pair) -> None:
    start, _ = pair()
    claim(store, wanted("req_never", key=b"never"))
    claim(store, wanted(start.request, key=b"begun"))
    book(store, start)
    with store.begin() as connection:
        fold.end_of_relay(connection, "relay-0", 11.0)
    assert claim(store, wanted("req_2", key=b"never")) == Claim(HELD)
    assert claim(store, wanted("req_3", key=b"begun")) == Claim(HELD)  # a crash without progress is paid by nobody


def test_who_is_refused_gives_the_key_back_unless_it_began(store: Store, pair: Pair) -> None:
    start, _ = pair()
    claim(store, wanted("req_1", key=b"early"))
    claim(store, wanted(start.request))
    book(store, start)
    with store.begin() as connection:
        claims.forget(connection, ClaimGone("acme", b"early", "req_other"))
        claims.forget(connection, ClaimGone("acme", b"k", start.request))
    assert claim(store, wanted("req_2", key=b"early")) == Claim(RUNNING, "req_1")
    with store.begin() as connection:
        claims.forget(connection, ClaimGone("acme", b"early", "req_1"))
    assert claim(store, wanted("req_2", key=b"early")) == Claim(HELD)
    assert claim(store, wanted("req_2")) == Claim(RUNNING, start.request)


def test_a_request_that_never_begins_loses_its_key_once_its_journal_is_read_long_enough_after(store: Store) -> None:
    late = 10.0 + claims.LONGEST_START_S + 1
    claim(store, wanted("req_1"))
    assert claim(store, wanted("req_2"), late) == Claim(RUNNING, "req_1")
    assert claim(store, wanted("req_2"), late - 2, ("relay-0",)) == Claim(RUNNING, "req_1")
    assert claim(store, wanted("req_2"), late, ("relay-0",)) == Claim(HELD)


def test_claims_go_after_their_time_but_not_under_a_request_that_runs(store: Store, pair: Pair) -> None:
    (start, end), (open_, _) = pair(), pair()
    claim(store, wanted(start.request))
    claim(store, wanted(open_.request, key=b"open"))
    book(store, start, end, open_)
    tomorrow = 10.0 + DAY_S + 1
    assert claim(store, wanted("req_2", key=b"open"), tomorrow) == Claim(RUNNING, open_.request)
    assert claim(store, wanted("req_2", body=b"c"), tomorrow) == Claim(HELD)
    with store.begin() as connection:
        assert claims.expire(connection, tomorrow) == 0
        assert claims.expire(connection, tomorrow + 1) == 1
    assert claim(store, wanted("req_3"), tomorrow) == Claim(HELD)
