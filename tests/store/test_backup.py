"""A copy is whole, proven and private, or there is none; and it overwrites nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from halley.store import backup
from halley.store.database import open_store
from halley.store.state import StoreError


def test_a_copy_is_one_moment_of_a_store_in_use_and_stands_alone(tmp_path: Path) -> None:
    store = open_store("", tmp_path, "", {})
    with store.begin() as connection:
        connection.exec_driver_sql("INSERT INTO accounts VALUES ('in', 1, 'store', 0)")
    with store.begin() as connection:
        connection.exec_driver_sql("INSERT INTO accounts VALUES ('out', 1, 'store', 0)")
        backup.copy(tmp_path / "halley.db", tmp_path / "copy")
    store.close()
    backup.check(tmp_path / "copy")
    with closing(sqlite3.connect(tmp_path / "copy")) as connection:
        assert connection.execute("SELECT id FROM accounts").fetchall() == [("in",)]
        assert connection.execute("PRAGMA journal_mode").fetchall() == [("delete",)]


def test_a_damaged_copy_is_found_out(tmp_path: Path) -> None:
    open_store("", tmp_path, "", {}).close()
    path = tmp_path / "halley.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("INSERT INTO entries (posting, ledger_account, amount) VALUES (77, 'x', 1)")
        connection.commit()
    with pytest.raises(StoreError, match="rows without the ones that they name"):
        backup.check(path)
    content = bytearray(path.read_bytes())
    content[4096 * 2 : 4096 * 40] = b"\xff" * (4096 * 38)
    path.write_bytes(content)
    with pytest.raises(StoreError, match="damaged"):
        backup.check(path)
