"""Every planted error is found by the check that is there for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from halley.store import fold
from halley.store.database import Store
from halley.store.journal import End, Start
from halley.store.replay import Position, Read
from halley.store.verify import verify
from tests.store.raw import Database

RELAY = "relay-0-1-1"

PLANTED = {
    "UPDATE entries SET amount = amount + 1 WHERE ledger_account = 'revenue'": {
        "postings_sum_to_zero",
        "balances_are_sums",
        "settlements_are_their_endings",
    },
    "UPDATE balances SET amount = amount + 1 WHERE ledger_account = 'revenue'": {"balances_are_sums"},
    "UPDATE requests SET charge = charge + 1": {"settlements_are_their_endings", "charges_are_recomputable", "days_are_their_requests"},
    "UPDATE requests SET posting = NULL": {"settlements_are_their_endings"},
    "UPDATE requests SET hold = 1": {"charges_fit_holds", "charges_are_recomputable"},
    "UPDATE requests SET price_version = 'price_x'": {"charges_are_recomputable"},
    "UPDATE leases SET returned = granted": {"leases_add_up"},
    "DELETE FROM requests": {"settlements_are_their_endings", "days_are_their_requests"},
    "UPDATE requests SET ending = NULL": {"requests_end", "settlements_are_their_endings", "days_are_their_requests"},
    "UPDATE usage_days SET charge = charge + 1": {"days_are_their_requests"},
    "INSERT INTO strays (at, relay, reason, line) VALUES (1, 'r', 'x', ?)": {"nothing_was_left_out"},
}


@pytest.mark.parametrize("statement", PLANTED)
def test_a_planted_error_is_found(store: Store, database: Database, pair: Callable[..., tuple[Start, End]], statement: str) -> None:
    with store.begin() as connection:
        fold.fold(connection, RELAY, Read(pair(), (), Position(1, 0, 1)), 3.0)
        assert verify(connection).differences == ()
    with database.unguarded() as raw:
        if statement.endswith("ending = NULL"):
            raw.execute("UPDATE journals SET closed_at = 5")
        raw.execute(statement, (b"line",) if "?" in statement else ())
    with store.begin() as connection:
        assert {each.check for each in verify(connection).differences} == PLANTED[statement]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET amount = 1",
        "DELETE FROM entries",
        "DELETE FROM postings",
        "UPDATE requests SET charge = 0",
        "UPDATE requests SET ending = NULL",
        "DELETE FROM requests",
    ],
)
def test_what_is_written_cannot_be_rewritten(store: Store, pair: Callable[..., tuple[Start, End]], statement: str) -> None:
    with store.begin() as connection:
        fold.fold(connection, RELAY, Read(pair(), (), Position(1, 0, 1)), 3.0)
    with pytest.raises(IntegrityError, match="append-only"), store.begin() as connection:
        connection.execute(text(statement))


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO leases (account, relay, granted, returned, charged) VALUES ('acme', 'r', -1, 0, 0)",
        "INSERT INTO entries (posting, ledger_account, amount) VALUES (1, 'x', 0)",
        "INSERT INTO entries (posting, ledger_account, amount) VALUES (999, 'x', 1)",
        "INSERT INTO accounts (id, unlimited, source, created_at) VALUES ('acme', FALSE, 'store', 0)",
        "INSERT INTO accounts (id, unlimited, source, created_at) VALUES ('b', FALSE, 'elsewhere', 0)",
        "INSERT INTO postings (at, kind, account) VALUES (0, 'gift', 'acme')",
    ],
)
def test_the_database_itself_refuses_what_cannot_be(store: Store, statement: str) -> None:
    with pytest.raises(IntegrityError), store.begin() as connection:
        connection.execute(text(statement))


def test_verifying_holds_up_nobody_who_writes_and_sees_one_moment(store: Store, pair: Callable[..., tuple[Start, End]]) -> None:
    with store.read() as reading:
        before = verify(reading)
        with store.begin() as connection:
            fold.fold(connection, RELAY, Read(pair(), (), Position(1, 0, 1)), 3.0)
        assert verify(reading) == before
    with store.read() as reading:
        assert verify(reading).requests == before.requests + 1
