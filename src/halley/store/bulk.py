"""Many rows of one table at once: an INSERT that is compiled once and given plain tuples.

SQLAlchemy binds each row of an executemany by name, which costs more than the database's own work. The statement is still its own, in the
spelling of the connection's dialect; only values that every driver takes as they are may pass (text, numbers, booleans, None). SQLite is in
the process and gets row after row; PostgreSQL is a journey away and gets all of them in one JSON text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Dialect, Insert, Table, Text, Update, bindparam, cast, column, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.selectable import TableValuedAlias

Row = tuple[str | int | float | bool | None, ...]

_encode = msgspec.json.Encoder().encode


def inserting(dialect: Dialect, table: Table) -> postgresql.Insert | sqlite.Insert:
    """The dialect's INSERT that knows ON CONFLICT; SQLite and PostgreSQL spell it alike."""
    return postgresql.insert(table) if dialect.name == "postgresql" else sqlite.insert(table)


def insert_rows(connection: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[Row], *, ignore_known: bool = False) -> None:
    """Rows as tuples in the order of `columns`. With `ignore_known`, one that violates a unique index is left out instead of failing."""
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        connection.execute(_insert_of_one_text(table, columns, ignore_known), {"rows": _text(columns, rows)})
    else:
        connection.exec_driver_sql(_compiled(connection.dialect, table, columns, ignore_known), list(rows))


def update_rows(connection: Connection, statement: Update, key: str, columns: tuple[str, ...], rows: Sequence[Row]) -> None:
    """Set `columns` of the rows that `statement` leaves of its table, each found by its `key`: a tuple has the key and then the columns."""
    if not rows:
        return
    table = statement.entity_description["table"]
    names = (key, *columns)
    if connection.dialect.name == "postgresql":
        given = _records(table, names)
        whole = statement.where(table.c[key] == given.c[key]).values({name: given.c[name] for name in columns})
        connection.execute(whole, {"rows": _text(names, rows)})
    else:
        whole = statement.where(table.c[key] == bindparam("its")).values({name: bindparam(f"new_{name}") for name in columns})
        named = ("its", *(f"new_{name}" for name in columns))
        connection.execute(whole, [dict(zip(named, row, strict=True)) for row in rows])


def sum_rows(
    connection: Connection, table: Table, key: tuple[str, ...], summed: tuple[str, ...], rows: Sequence[Row], *, latest: str = ""
) -> None:
    """Rows as tuples of `key`, `summed` and `latest`, each key once: of a row that is there already the figures are added to it, and of
    `latest` the greater one stays."""
    if not rows:
        return
    columns = (*key, *summed, *((latest,) if latest else ()))
    is_postgresql = connection.dialect.name == "postgresql"
    statement = inserting(connection.dialect, table)
    if is_postgresql:
        given = _records(table, columns)
        statement = statement.from_select(columns, select(*(given.c[name] for name in columns)))
    else:
        statement = statement.values({name: bindparam(name) for name in columns})
    old, new = table.c, statement.excluded
    becomes: dict[str, ColumnElement[Any]] = {name: old[name] + new[name] for name in summed}
    if latest:
        # MAX of two values is `max` in one database and `greatest` in the other.
        becomes[latest] = (func.greatest if is_postgresql else func.max)(old[latest], new[latest])
    statement = statement.on_conflict_do_update(index_elements=list(key), set_=becomes)
    connection.execute(
        statement, {"rows": _text(columns, rows)} if is_postgresql else [dict(zip(columns, row, strict=True)) for row in rows]
    )


def add_to_rows(
    connection: Connection, statement: Update, key: str, column: str, rows: Sequence[tuple[str, int]], back: ColumnElement[int]
) -> dict[str, int]:
    """Add to a column of the rows that `statement` leaves of its table, each found by its `key`. Returns by key what `back` is then."""
    if not rows:
        return {}
    table: Table = statement.entity_description["table"]
    its: ColumnElement[str] = table.c[key]
    if connection.dialect.name == "postgresql":
        given = _records(table, (key, column))
        whole = statement.where(its == given.c[key]).values({column: table.c[column] + given.c[column]}).returning(its, back)
        return {name: left for name, left in connection.execute(whole, {"rows": _text((key, column), rows)})}
    whole = statement.where(its == bindparam("its")).values({column: table.c[column] + bindparam("more")}).returning(back)
    found = ((name, connection.scalar(whole, {"its": name, "more": more})) for name, more in rows)
    return {name: left for name, left in found if left is not None}


@lru_cache(maxsize=16)
def _compiled(dialect: Dialect, table: Table, columns: tuple[str, ...], ignore_known: bool) -> str:
    statement: Insert = inserting(dialect, table)
    if ignore_known:
        statement = inserting(dialect, table).on_conflict_do_nothing()
    compiled = statement.compile(dialect=dialect, column_keys=columns)
    assert isinstance(compiled, SQLCompiler)
    if not compiled.positional or tuple(compiled.positiontup or ()) != columns:
        raise ValueError(f"The columns of {table.name} are bound in the order {compiled.positiontup}.")
    return str(compiled)


@lru_cache(maxsize=16)
def _insert_of_one_text(table: Table, columns: tuple[str, ...], ignore_known: bool) -> Insert:
    given = _records(table, columns)
    statement = postgresql.insert(table).from_select(columns, select(*(given.c[name] for name in columns)))
    return statement.on_conflict_do_nothing() if ignore_known else statement


def _records(table: Table, names: tuple[str, ...]) -> TableValuedAlias:
    """The rows of the bound text `rows` as a table, with the types of the columns that they are for."""
    typed = (column(name, table.c[name].type) for name in names)
    text = cast(bindparam("rows", type_=Text), postgresql.JSON(none_as_null=True))
    return func.json_to_recordset(text).table_valued(*typed, name="given").render_derived(with_types=True)


def _text(names: tuple[str, ...], rows: Sequence[Row]) -> str:
    records: list[Mapping[str, Any]] = [dict(zip(names, row, strict=True)) for row in rows]
    return _encode(records).decode()
