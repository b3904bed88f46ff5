"""Usage by day is what the requests come to, and a page of it reads no request."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from sqlalchemy import Connection, event

from halley.store import fold, logbook, usage
from halley.store.database import Store, open_store
from halley.store.journal import End, Start
from halley.store.replay import Position, Read
from halley.store.usage import DAY_S, Used, Which
from halley.store.verify import verify
from tests.store.raw import Database

RELAY = "relay-0-1-1"
Pair = Callable[..., tuple[Start, End]]
EVER = Which("acme", 0, 1 << 20)


def book(store: Store, *records: Start | End, offset: int = 1) -> None:
    with store.begin() as connection:
        fold.fold(connection, RELAY, Read(records, (), Position(offset, 0, offset)), 3.0)


def test_a_request_counts_once_on_the_day_on_which_it_ended(store: Store, pair: Pair) -> None:
    start, end = pair(tokens=100)
    late_start, late_end = pair(tokens=7)
    next_day = structs.replace(late_end, at=DAY_S + 5.0)
    book(store, start, end, late_start)
    book(store, start, end, offset=2)  # a journal that is read twice
    book(store, next_day, offset=3)
    with store.read() as connection:
        lines = usage.page(connection, EVER, ("day",), None, 10)
        assert [line.group for line in lines] == [(0,), (1,)]
        assert lines[0].used == Used(1, 0, 100, 100, charge=end.charge) and lines[1].used.input == 7
        assert usage.total(connection, EVER).requests == 2
        assert usage.total(connection, Which("acme", 1, 1)).charge == next_day.charge
        assert usage.of_keys(connection, ["key_1", "key_2"]) == {"key_1": (end.charge + next_day.charge, 2, DAY_S + 5.0)}
        assert verify(connection).differences == ()


def test_what_was_left_open_counts_when_its_relay_is_gone(store: Store, pair: Pair) -> None:
    start, _ = pair()
    book(store, start)
    with store.begin() as connection:
        fold.end_of_relay(connection, RELAY, 9.0)
        assert usage.total(connection, EVER) == Used(1, 1)


def test_pages_go_on_where_the_last_one_ended(store: Store, pair: Pair) -> None:
    records: list[Start | End] = []
    for day in range(3):
        for model in ("a", "b"):
            start, end = pair()
            records += [structs.replace(start, model=model), structs.replace(end, at=day * DAY_S + 1.0)]
    book(store, *records)
    seen: list[tuple[int | str, ...]] = []
    with store.read() as connection:
        while lines := usage.page(connection, EVER, ("day", "model"), seen[-1] if seen else None, 4):
            seen += [line.group for line in lines]
        assert [line.group for line in usage.page(connection, EVER, ("model",), None, 9)] == [("a",), ("b",)]
        only = structs.replace(EVER, model="a", first=1)
        assert [line.used.requests for line in usage.page(connection, only, ("day",), None, 9)] == [1, 1]
    assert seen == [(day, model) for day in range(3) for model in ("a", "b")]


def test_an_absurd_report_does_not_spoil_the_sums(store: Store, pair: Pair) -> None:
    for offset in (1, 2):
        start, end = pair()
        book(store, start, structs.replace(end, estimated=True, usage=structs.replace(end.usage, input=(1 << 63) - 1)), offset=offset)
    with store.read() as connection:
        assert usage.total(connection, EVER).input == 2 * 10**12


# What the two databases spell apart: numbers from 0, a request's id, and the day of a time.
_SPELLED = {
    True: ("WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?)", "printf('req_%026d', i)", "ended_at / 86400"),
    False: ("WITH n(i) AS (SELECT generate_series(0, ? - 1))", "'req_' || lpad(CAST(i AS text), 26, '0')", "floor(ended_at / 86400)"),
}

_COLUMNS = (
    "id, at, relay, account, key, route, model, price_version, hold, leased, stream, input_estimate, ended_at, ending, status, provider, "
    "usage, estimated, charge, loss, attempts, bytes_in, bytes_out, admitted_ms, first_ms, total_ms"
)


def filled(store: Store, database: Database, count: int) -> None:
    """A store with so many ended requests and the days that they come to, written without the fold. Closes it."""
    store.close()
    numbers, name, day = _SPELLED[database.is_sqlite]
    with database.unguarded() as raw:
        raw.execute(
            f"INSERT INTO requests ({_COLUMNS}) {numbers} SELECT {name}, "  # noqa: S608 (texts of ours)
            "i * 30.0, 'r', 'acme', 'key_' || (i - i / 20 * 20), '/v1/chat/completions', 'm' || (i - i / 8 * 8), 'price_1', 9, FALSE, "
            "FALSE, 1, i * 30.0 + 1, 'complete', 200, 'p', '{\"input\":3,\"output\":4}', FALSE, 0, 0, 1, 1, 1, 0, 0, 0 FROM n",
            (count,),
        )
        raw.execute("DELETE FROM usage_days")
        raw.execute(
            f"INSERT INTO usage_days SELECT account, CAST({day} AS INTEGER), key, model, COUNT(*), 0, SUM(3), SUM(4), "  # noqa: S608 (texts of ours)
            "0, 0, 0, 0, 0, MAX(ended_at) FROM requests GROUP BY 1, 2, 3, 4"
        )
        raw.execute("ANALYZE" if database.is_sqlite else "VACUUM ANALYZE")


@contextmanager
def planned(connection: Connection) -> Iterator[list[list[str]]]:
    """The plan of every query of the block, step by step; they are there when it ends."""
    asked: list[tuple[str, Any]] = []
    plans: list[list[str]] = []

    def note(_: object, __: object, statement: str, parameters: Any, *more: object) -> None:
        asked.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", note)
    yield plans
    event.remove(connection, "before_cursor_execute", note)
    explain = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
    plans += [[str(row[-1]).strip() for row in connection.exec_driver_sql(f"{explain} {text}", values)] for text, values in asked]


@pytest.mark.parametrize("database", ["sqlite", "postgresql, its own"], indirect=True)
def test_a_page_of_much_usage_reads_the_days_alone(store: Store, database: Database, tmp_path: Path) -> None:
    filled(store, database, 100_000)
    again = open_store(database.url, tmp_path, "", {})
    with again.read() as connection:
        begun = time.perf_counter()
        lines = usage.page(connection, EVER, ("day", "key", "model"), (20, "key_3", "m0"), 100)
        whole = usage.total(connection, EVER)
        took = time.perf_counter() - begun
        assert len(lines) == 100 and lines[0].group > (20, "key_3", "m0") and (whole.requests, whole.output) == (100_000, 400_000)
        with planned(connection) as plans:
            usage.page(connection, EVER, ("day", "model"), (20, "m0"), 100)
            usage.page(connection, structs.replace(EVER, key="key_3"), ("key",), None, 100)
            usage.total(connection, EVER)
            usage.of_keys(connection, ["key_1", "key_2"])
            logbook.page(connection, logbook.Which("acme", 0.0, 1e11, "key_3"), (2e6, "req_9"), 50)
            logbook.page(connection, logbook.Which("acme", 0.0, 1e11, "key_3", "m3", running=True), None, 50)
        for plan in plans[:4]:
            assert any("usage_days" in step for step in plan) and not any("requests" in step and "usage" not in step for step in plan), plan
        (_walk_an_index if database.is_sqlite else _walk_an_index_there)(plans)
        # A search that finds little or nothing stops on its way, and nothing is left out by that.
        rare = logbook.Which("acme", 0.0, 1e11, "key_3", "m3")
        stops = [logbook.stop(connection, rare, None)]
        while stops[-1] is not None:
            stops.append(logbook.stop(connection, rare, stops[-1]))
        assert [place and place[1] for place in stops] == [*(f"req_{last:026d}" for last in range(80_000, -1, -20_000)), None]
        parts = [logbook.page(connection, rare, after, 9999, to) for after, to in zip((None, *stops), stops, strict=False)]
        assert [len(part) for part in parts] == [500, 500, 500, 500, 500, 0]
        assert [entry for part in parts for entry in part] == logbook.page(connection, rare, None, 9999)
        assert logbook.stop(connection, logbook.Which("acme", 0.0, 1e11), None) is None
        assert logbook.page(connection, structs.replace(rare, running=True), None, 50) == []
    again.close()
    assert took < 1.0  # ten times what a page of a store with ten times as many requests may take


def _walk_an_index(plans: list[list[str]]) -> None:
    for plan in plans[:4]:
        assert any("SEARCH usage_days USING" in step for step in plan), plan
    assert any("SEARCH requests USING INDEX requests_of_account (account=? AND at>? AND at<?)" in step for step in plans[4]), plans[4]
    assert not any(
        step.startswith("SCAN") or ("TEMP B-TREE FOR ORDER BY" in step and "requests" in step) for plan in plans[:5] for step in plan
    )
    assert any("requests_open" in step for step in plans[5]), plans[5]


def _walk_an_index_there(plans: list[list[str]]) -> None:
    """Of days a server may read them all, where all of them are wanted."""
    assert any("Index Scan Backward using requests_of_account on requests" in step for step in plans[4]), plans[4]
    assert not any("Seq Scan on requests" in step for plan in plans for step in plan), plans
    assert not any("Sort Key" in step for step in plans[4]), plans[4]
    assert any("using requests_open" in step for step in plans[5]), plans[5]


@pytest.mark.parametrize("database", ["sqlite", "postgresql, its own"], indirect=True)
def test_a_store_from_before_the_days_gets_them_when_it_is_taken_on(store: Store, database: Database, tmp_path: Path, pair: Pair) -> None:
    start, end = pair(tokens=5)
    broken, bad = pair(loss=4)
    book(store, start, end, broken, bad)
    with store.read() as connection:
        wanted = usage.page(connection, EVER, ("day", "key", "model"), None, 9)
    store.close()
    with database.unguarded() as raw:
        for statement in (
            *(
                f"DROP TABLE {name}"
                for name in ("nodes", "alerts", "request_pots", "pot_leases", "pots", "budgets", "teams", "payments", "claims", "kept")
            ),
            "ALTER TABLE journals DROP COLUMN node",
            *(() if raw.is_sqlite else ("DROP FUNCTION halley_append_only CASCADE",)),
            "ALTER TABLE keys DROP COLUMN team",
            "DROP TABLE usage_days",
            "DROP TABLE tokens",
            "DROP TABLE memberships",
            "DROP TABLE users",
            "DROP INDEX requests_of_account",
            *(f"ALTER TABLE keys DROP COLUMN {name}" for name in ("routes", "scopes", "disabled_at", "former_digest", "former_until")),
            "UPDATE alembic_version SET version_num = '0003'",
        ):
            raw.execute(statement)
    again = open_store(database.url, tmp_path, "", {}, migrate=True)
    with again.read() as connection:
        assert usage.page(connection, EVER, ("day", "key", "model"), None, 9) == wanted
        assert not list(usage.days_are_their_requests(connection))
    again.close()
