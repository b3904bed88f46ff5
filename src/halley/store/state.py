"""What a database holds, found out without a trace: which schema, whether all of it, and under which master key. A store that is refused
stays as it is, byte for byte, so this is looked at before anything else.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Generator, Iterable
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from sqlalchemy import Engine, MetaData, text

from halley.errors import HalleyError

PEPPER = "pepper"

_VERSION = "SELECT version_num FROM alembic_version"
_PEPPER = "SELECT wrapped FROM secrets WHERE name = 'pepper'"
_SQLITE = "SELECT m.name, c.name FROM sqlite_master AS m, pragma_table_info(m.name) AS c WHERE m.type = 'table'"
_POSTGRESQL = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()"


class StoreError(HalleyError):
    """The store cannot be opened or must not be written; the message says what to do."""


class State(NamedTuple):
    """Table to its columns; the revision, None where there is none; the store's own secret as it is wrapped."""

    columns: dict[str, set[str]]
    revision: str | None
    pepper: bytes | None


NOTHING = State({}, None, None)


def look_at(engine: Engine) -> State:
    """Of a database with a server, or of one that is in use."""
    statement = _POSTGRESQL if engine.dialect.name == "postgresql" else _SQLITE
    with engine.connect().execution_options(reads=True) as connection:
        columns = _tables((table, column) for table, column in connection.execute(text(statement)))
        revisions = list[str](connection.scalars(text(_VERSION))) if "alembic_version" in columns else []
        peppers = list[bytes](connection.scalars(text(_PEPPER))) if "secrets" in columns else []
    return _state(columns, revisions, peppers)


def look_in(path: Path) -> State:
    """Of an SQLite file that nobody uses. Raises StoreError when it is none, or cannot be read just now."""
    if not path.exists():
        return NOTHING
    try:
        with untouched(path) as address, closing(sqlite3.connect(address, uri=True)) as connection:
            columns = _tables(connection.execute(_SQLITE))
            revisions = [row[0] for row in connection.execute(_VERSION)] if "alembic_version" in columns else []
            peppers = [row[0] for row in connection.execute(_PEPPER)] if "secrets" in columns else []
    except sqlite3.DatabaseError as fault:
        if is_damage(fault):
            raise damaged(path) from None
        raise StoreError(f"{path} cannot be read: {fault} ({fault.sqlite_errorname}); is it a file, and has its disk room?") from None
    except OSError as fault:
        raise StoreError(f"{path} cannot be read: {fault.strerror}.") from None
    return _state(columns, revisions, peppers)


def is_damage(fault: BaseException | None) -> bool:
    """Whether SQLite says that what it read is not what it wrote, in whatever detail."""
    return getattr(fault, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)


def damaged(path: Path) -> StoreError:
    return StoreError(f"{path} is no SQLite database, or a damaged one: restore your backup.")


@contextmanager
def untouched(path: Path) -> Generator[str]:
    """The address of an SQLite file that nobody uses, for a connection that leaves no trace of itself."""
    log = path.with_name(f"{path.name}-wal")
    if not log.exists() or not log.stat().st_size:
        yield _address(path, "immutable=1")
        return
    # What a killed process left in its log counts too. Under other names, so that the index which SQLite makes for it is ours.
    with tempfile.TemporaryDirectory(prefix=".look-", dir=path.parent) as directory:
        aside = Path(directory) / path.name
        try:
            for name in (path, log):
                os.link(name, Path(directory) / name.name)
        except OSError:  # a file system without links: the index beside the database is touched, which is no part of it
            aside = path
        yield _address(aside, "mode=ro")


def _address(path: Path, how: str) -> str:
    return f"file:{quote(os.fspath(path))}?{how}"


def _tables(pairs: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for table, column in pairs:
        found.setdefault(table, set()).add(column)
    return found


def _state(columns: dict[str, set[str]], revisions: list[str], peppers: list[bytes]) -> State:
    if len(revisions) > 1:
        raise StoreError(f"The store says that it has several schemas ({', '.join(sorted(revisions))}): restore your backup.")
    return State(columns, revisions[0] if revisions else None, peppers[0] if peppers else None)


def judge(state: State, head: str, known: Iterable[str], schema: MetaData) -> None:
    """Raises StoreError for a store that this version must not touch: one that is newer, strange, or there only in part."""
    if state.revision is None:
        ours = sorted(state.columns.keys() & schema.tables.keys())
        if ours:
            raise StoreError(_half(f"it has tables ({', '.join(ours[:3])}, …) and no schema version"))
    elif state.revision == head:
        lacks = sorted(_missing(state, schema))
        if lacks:
            raise StoreError(_half(f"it says that it has schema {head}, and lacks {', '.join(lacks[:5])}"))
    elif state.revision > head:
        raise StoreError(
            f"The store has schema {state.revision}, which is newer than this version of Halley ({head}); start the newer version."
        )
    elif state.revision not in known:
        raise StoreError(f"The store has schema {state.revision}, which no version of Halley has made; restore your backup.")


def _missing(state: State, schema: MetaData) -> Iterable[str]:
    for table in schema.tables.values():
        there = state.columns.get(table.name)
        if there is None:
            yield table.name
        else:
            yield from (f"{table.name}.{column.name}" for column in table.columns if column.name not in there)


def _half(why: str) -> str:
    return f"The store is there only in part: {why}. Nothing was changed; restore a whole backup."
