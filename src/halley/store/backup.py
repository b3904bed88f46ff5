"""Copies of an SQLite store while it is in use: one moment of it, in a file that appears whole and proven or not at all.

How it gets its name is the drafts' business.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from halley.store.state import StoreError


def copy(source: Path, path: Path) -> None:
    """One moment of the database in `source`, whoever writes it meanwhile, in a file that needs no log beside it. Raises StoreError."""
    try:
        with closing(sqlite3.connect(source)) as reading, closing(sqlite3.connect(path, isolation_level=None)) as writing:
            # In one step: in several, each write of another process would begin it anew.
            reading.execute("PRAGMA busy_timeout = 5000").close()
            reading.backup(writing)
            writing.execute("PRAGMA journal_mode = DELETE").close()
    except sqlite3.Error as fault:
        raise StoreError(f"The store cannot be copied: {fault}") from None


def check(path: Path) -> None:
    """Raises StoreError for a copy that SQLite finds damaged."""
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?immutable=1", uri=True)) as connection:
        try:
            said = [row[0] for row in connection.execute("PRAGMA integrity_check(10)")]
            strays = connection.execute("PRAGMA foreign_key_check").fetchmany(10)
        except sqlite3.Error as fault:
            raise StoreError(f"The copy is damaged, and was thrown away: {fault}") from None
    if said != ["ok"]:
        raise StoreError(f"The copy is damaged, and was thrown away: {'; '.join(said)}")
    if strays:
        raise StoreError(f"The copy has rows without the ones that they name ({strays[0][0]}), and was thrown away.")
