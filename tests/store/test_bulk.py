"""Rows in bulk: what goes in as tuples comes out as columns, and the statement is in the dialect's own spelling."""

from __future__ import annotations

import pytest
from sqlalchemy import select
from sqlalchemy.dialects import postgresql
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


def test_columns_in_another_order_than_the_table_are_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="bound in the order"), store.begin() as connection:
        bulk.insert_rows(connection, schema.prices, ("rates", "version", "first_seen"), [("{}", "a", 1.0)])


def test_a_dialect_that_binds_by_name_gets_names() -> None:
    form = bulk._compiled(postgresql.dialect(), schema.prices, COLUMNS, True)
    assert not form.positional
    assert all(f"%({name})s" in form.sql for name in COLUMNS) and form.sql.endswith("ON CONFLICT DO NOTHING")
