"""The database of new-api or one-api, read and never written: rows of the tables that are taken over, as they are."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from halley.errors import HalleyError

Row = dict[str, object]


class Unreadable(HalleyError):
    """It is no SQLite database, or not the one that was meant."""


_STATEMENTS = {
    "channels": "SELECT * FROM channels",
    "options": "SELECT * FROM options",
    "users": "SELECT * FROM users",
    "tokens": "SELECT * FROM tokens",
}


def rows(path: Path) -> dict[str, list[Row]]:
    """All rows of each table by column; a table that is not there has none. Raises Unreadable."""
    if not path.is_file():
        raise Unreadable(f"There is no file {path}.")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            return {
                name: [dict(row) for row in connection.execute(statement)] if name in there else []
                for name, statement in _STATEMENTS.items()
            }
    except sqlite3.Error as fault:
        raise Unreadable(f"{path} cannot be read as a SQLite database: {fault}") from None
