"""A copy is whole, proven and private, or there is none; and it overwrites nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from halley.store import backup
from halley.store.database import open_store
from halley.store.state import StoreError


def test_a_copy_appears_when_it_is_whole_for_its_owner_only(tmp_path: Path) -> None:
    target = tmp_path / "copy"
    with backup.draft(target) as path:
        path.write_bytes(b"whole")
        assert not target.exists() and path.parent.stat().st_mode & 0o777 == 0o700
    assert target.read_bytes() == b"whole" and target.stat().st_mode & 0o777 == 0o600 and target.stat().st_nlink == 1
    assert [each.name for each in tmp_path.iterdir()] == ["copy"]


def test_what_fails_or_is_taken_meanwhile_leaves_nothing_and_overwrites_nothing(tmp_path: Path) -> None:
    target = tmp_path / "copy"
    with pytest.raises(RuntimeError), backup.draft(target):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StoreError, match="nothing is overwritten"), backup.draft(target):
        target.write_bytes(b"mine")
    with pytest.raises(StoreError, match="nothing is overwritten"), backup.draft(target):
        raise AssertionError("the block ran")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StoreError, match="nothing is overwritten"), backup.draft(tmp_path / "link"):
        raise AssertionError("the block ran")
    assert target.read_bytes() == b"mine"
    with pytest.raises(StoreError, match="cannot be written: No such file"), backup.draft(tmp_path / "none" / "copy"):
        raise AssertionError("the block ran")


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
