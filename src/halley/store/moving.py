"""The move of a store from SQLite to PostgreSQL: everything in one transaction of the target, while nobody may write the source.

The target gets the schema from the same migrations, the rows by COPY in the order that foreign keys ask for, and its sequences behind the
highest row. Before it is committed every row is read back and held against the source, and the ledger must prove to be what it was there.
A target that has exactly that already was filled by a move that was killed before it could say so beside the source.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import BigInteger, Connection, Engine, Table, func, select, text
from sqlalchemy.exc import InterfaceError, OperationalError

from halley import crash
from halley.store import postgres, steps, verify
from halley.store.database import HEAD, METADATA, Away, engine_of, moved, open_store, revision
from halley.store.state import StoreError

_STREAMED = {"yield_per": 1000}
_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_FOUND = "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace ORDER BY relname LIMIT 5"


class Moved(msgspec.Struct, frozen=True):
    """Table to its rows, all of which were read back; what the proof of the ledger came to, on both sides alike."""

    rows: dict[str, int]
    found: verify.Found


def move(url: str, home: Path, master_key: str, environ: Mapping[str, str], target_url: str) -> Moved:
    """Raises StoreError, and then the target is as it was. The caller has the `StoreLock` of the home, and no gateway runs."""
    source, target = engine_of(url, home), engine_of(target_url, home)
    path = Path(source.url.database) if source.dialect.name == "sqlite" and source.url.database else None
    source.dispose()
    if path is None or target.dialect.name != "postgresql":
        raise StoreError("A store is moved from SQLite to PostgreSQL: [store] url must name the first, and --to the second.")
    if not path.exists():
        raise StoreError(f"There is no store in {path}.")
    try:
        _find_fit(target)
        store = open_store(url, home, master_key, environ)
        try:
            with store.begin() as reading, target.begin() as writing:
                done = _moved(reading, writing)
        finally:
            store.close()
    except (OperationalError, InterfaceError) as fault:
        raise Away(f"The database of --to cannot be used: {fault.orig}") from None
    finally:
        target.dispose()
    crash.here("move.committed")
    moved(path).write_text(f"moved to PostgreSQL at {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}\n", encoding="ascii")
    return done


def _find_fit(target: Engine) -> None:
    """Empty, or a store of this version's schema."""
    with target.connect().execution_options(reads=True) as connection:
        names = _there(connection)
    if names and revision(target) != HEAD:
        raise StoreError(f"The database of --to is not empty ({', '.join(names)}, …); make a new one. Nothing was changed.")


def _there(connection: Connection) -> list[str]:
    return list(connection.scalars(text(_FOUND)))


def _moved(reading: Connection, writing: Connection) -> Moved:
    # While the source is read the target hears nothing.
    writing.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
    was_empty = not _there(writing)
    if was_empty:
        steps.upgrade(writing)
    before = verify.verify(reading)
    rows: dict[str, int] = {}
    for table in METADATA.sorted_tables:
        if was_empty:
            _copy(reading, writing, table)
            _restart(writing, table)
        here, there = _digest(reading, table), _digest(writing, table)
        if here != there and was_empty:
            raise StoreError(f"{table.name} did not come over as it was ({here[0]} and {there[0]} rows). Nothing was changed.")
        if here != there:
            raise StoreError(
                f"The database of --to is not empty: it has a store that differs from this one (in {table.name}). If this one went there, "
                "set [store] url; else make a new database. Nothing was changed."
            )
        rows[table.name] = there[0]
    after = verify.verify(writing)
    if after != before:
        raise StoreError("The ledger does not prove to be what it was. Nothing was changed.")
    return Moved(rows, after)


def _copy(reading: Connection, writing: Connection, table: Table) -> None:
    quote = writing.dialect.identifier_preparer.quote
    statement = f"COPY {quote(table.name)} ({', '.join(quote(column.name) for column in table.columns)}) FROM STDIN"
    cursor: Any = writing.connection.cursor()
    try:
        cursor.execute(statement, stream=_lines(reading, table))
    except writing.dialect.loaded_dbapi.Error as fault:
        # Not the detail and not the place: they are what the rows hold.
        raise StoreError(f"PostgreSQL does not take {table.name}: {postgres.words(fault)}. Nothing was changed.") from None
    finally:
        cursor.close()


def _lines(reading: Connection, table: Table) -> Iterator[bytes]:
    """Many rows at a time, as COPY reads them."""
    for part in reading.execute(select(table), execution_options=_STREAMED).partitions():
        yield "".join("\t".join(map(spelled, row)) + "\n" for row in part).encode()


def spelled(value: object) -> str:
    """A value as COPY's text format has it."""
    match value:
        case None:
            return "\\N"
        case bool():
            return "t" if value else "f"
        case bytes() | bytearray():
            return f"\\\\x{value.hex()}"
        case float() | int():
            return repr(value)
        case _:
            return str(value).translate(_ESCAPES)


def _restart(writing: Connection, table: Table) -> None:
    """The next row that is given a number comes after all that have one."""
    for column in table.primary_key.columns:
        if isinstance(column.type, BigInteger) and len(table.primary_key.columns) == 1:
            sequence = func.pg_get_serial_sequence(table.name, column.name)
            writing.execute(select(func.setval(sequence, func.coalesce(func.max(column), 0) + 1, False)))


def _digest(connection: Connection, table: Table) -> tuple[int, int]:
    """How many rows, and a figure that differs if any differs, whatever their order."""
    count, total = 0, 0
    for row in connection.execute(select(table), execution_options=_STREAMED):
        count += 1
        total += int.from_bytes(hashlib.blake2b("\t".join(map(spelled, row)).encode(), digest_size=16).digest())
    return count, total % (1 << 128)
