"""Rows in bulk: what goes in as tuples comes out as columns, and the statement is in the dialect's own spelling."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from halley.store import bulk, schema
from halley.store.database import Store

COLUMNS = ("version", "rates", "first_seen")


def test_rows_are_written_by_place_and_known_ones_left_alone(store: Store) -> None:
    with store.begin() as connection:
        bulk.insert_rows(connection, schema.prices, COLUMNS, [("a", "{}", 1.0), ("b", "{}", 2.0)])
        bulk.insert_rows(connection, schema.prices, COLUMNS, [("b", "{}", 9.0), ("c", "{}", 3.0)], ignore_known=True)
        bulk.insert_rows(connection, schema.prices, COLUMNS, [])
        query = select(schema.prices).where(schema.prices.c.version.in_(["a", "b", "c"])).order_by(schema.prices.c.version)
        assert [tuple(row) for row in connection.execute(query)] == [("a", "{}", 1.0), ("b", "{}", 2.0), ("c", "{}", 3.0)]
    with pytest.raises(IntegrityError), store.begin() as connection:
        bulk.insert_rows(connection, schema.prices, COLUMNS, [("a", "{}", 4.0)])


def test_rows_are_changed_by_their_key_where_the_statement_allows(store: Store) -> None:
    with store.begin() as connection:
        bulk.insert_rows(connection, schema.prices, COLUMNS, [("a", "{}", 1.0), ("b", "{}", 2.0), ("c", "{}", 3.0)])
        late = update(schema.prices).where(schema.prices.c.first_seen > 1.0)
        changed = [("a", '{"x":1}', 7.5), ("b", "\"\u2028 ' \\", 8.5), ("d", "{}", 9.5)]
        bulk.update_rows(connection, late, "version", ("rates", "first_seen"), changed)
        bulk.update_rows(connection, late, "version", ("rates", "first_seen"), [])
        query = select(schema.prices).where(schema.prices.c.version.in_(["a", "b", "c", "d"])).order_by(schema.prices.c.version)
        assert [tuple(row) for row in connection.execute(query)] == [("a", "{}", 1.0), changed[1], ("c", "{}", 3.0)]


def test_figures_come_back_as_they_were(store: Store) -> None:
    """64-bit integers, times to the last bit, truth and nothing."""
    names = ("id", "at", "relay", "account", "key", "route", "model", "price_version", "hold", "leased", "stream", "input_estimate")
    rows: list[bulk.Row] = [
        (f"req_{number}", at, "r", "acme", "k", "x", "m", "p", (1 << 63) - 1 - number, bool(number % 2), True, number)
        for number, at in enumerate((0.1, 1e9 + 1 / 3, 2**53 + 0.0, 5e-324))
    ]
    with store.begin() as connection:
        bulk.insert_rows(connection, schema.requests, (*names, "ending"), [(*row, None) for row in rows])
        columns = [schema.requests.c[name] for name in names]
        assert [tuple(row) for row in connection.execute(select(*columns).order_by(schema.requests.c.id))] == rows


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_columns_in_another_order_than_the_table_are_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="bound in the order"), store.begin() as connection:
        bulk.insert_rows(connection, schema.prices, ("rates", "version", "first_seen"), [("{}", "a", 1.0)])
