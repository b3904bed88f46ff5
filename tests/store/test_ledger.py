"""Leases and postings as running totals."""

from __future__ import annotations

import pytest

from halley.store import ledger
from halley.store.database import Store
from halley.store.verify import verify

RELAY = "relay-0-1-1"


@pytest.mark.parametrize(
    ("credit", "need", "least", "grant"),
    [
        (1000, 100, 50, 100),
        (100_000, 100, 50, 5000),
        (2000, 100, 50, 100),
        (80, 100, 50, 80),
        (40, 100, 50, 0),
        (0, 100, 0, 0),
        (-5, 100, 0, 0),
    ],
)
def test_a_grant_is_the_need_while_credit_is_short_and_a_share_of_it_when_it_is_not(credit: int, need: int, least: int, grant: int) -> None:
    assert ledger.size_of_grant(credit, need, least) == grant


def test_a_posting_that_does_not_sum_to_zero_is_not_written(store: Store) -> None:
    with pytest.raises(ledger.Unbalanced), store.begin() as connection:
        ledger.post(connection, "credit", "acme", {"clearing": -1, "available:acme": 2}, 0.0)


def test_a_return_that_arrives_twice_is_booked_once(store: Store) -> None:
    with store.begin() as connection:
        assert ledger.take_back(connection, "acme", RELAY, 500, 1.0) == 500
        assert ledger.take_back(connection, "acme", RELAY, 500, 2.0) == 0
        assert ledger.take_back(connection, "acme", RELAY, 700, 3.0) == 200
        assert ledger.take_back(connection, "acme", "unknown", 700, 3.0) == 0
        assert ledger.balance(connection, "held:acme") == 10**11 - 700
        assert verify(connection).differences == ()


def test_closing_leases_gives_back_what_was_not_charged(store: Store) -> None:
    with store.begin() as connection:
        ledger.close_leases(connection, RELAY, 1.0)
        assert ledger.balance(connection, "held:acme") == 0
        assert ledger.balance(connection, "available:acme") == 10**12
        assert ledger.open_leases(connection) == []
        assert verify(connection).differences == ()
