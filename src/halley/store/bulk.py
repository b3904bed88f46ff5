"""Many rows of one table at once: an INSERT that is compiled once and given plain tuples.

SQLAlchemy binds each row of an executemany by name, which costs more than the database's own work. The statement is still its own, in the
spelling of the connection's dialect; only values that every driver takes as they are may pass (text, numbers, booleans, None).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import Connection, Dialect, Insert, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.compiler import SQLCompiler

Row = tuple[str | int | float | bool | None, ...]


def inserting(dialect: Dialect, table: Table) -> postgresql.Insert | sqlite.Insert:
    """The dialect's INSERT that knows ON CONFLICT; SQLite and PostgreSQL spell it alike."""
    return postgresql.insert(table) if dialect.name == "postgresql" else sqlite.insert(table)


def insert_rows(connection: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[Row], *, ignore_known: bool = False) -> None:
    """Rows as tuples in the order of `columns`. With `ignore_known`, one that violates a unique index is left out instead of failing."""
    if not rows:
        return
    form = _compiled(connection.dialect, table, columns, ignore_known)
    if form.positional:
        connection.exec_driver_sql(form.sql, list(rows))
    else:
        connection.exec_driver_sql(form.sql, [dict(zip(columns, row, strict=True)) for row in rows])


class _Form(NamedTuple):
    sql: str
    positional: bool


@lru_cache(maxsize=16)
def _compiled(dialect: Dialect, table: Table, columns: tuple[str, ...], ignore_known: bool) -> _Form:
    statement: Insert = inserting(dialect, table)
    if ignore_known:
        statement = inserting(dialect, table).on_conflict_do_nothing()
    compiled = statement.compile(dialect=dialect, column_keys=columns)
    assert isinstance(compiled, SQLCompiler)
    if compiled.positional and tuple(compiled.positiontup or ()) != columns:
        raise ValueError(f"The columns of {table.name} are bound in the order {compiled.positiontup}.")
    return _Form(str(compiled), compiled.positional)
