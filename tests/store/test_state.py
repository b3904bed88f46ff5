"""A store that is newer, strange or there only in part is refused, and stays as it is, byte for byte."""

from __future__ import annotations

import resource
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from halley.store import customers
from halley.store.database import HEAD, StoreError, open_store, outlook
from halley.store.state import NOTHING, look_at, look_in, untouched
from tests.store.raw import Database
from tests.store.test_database import everything

HALF: dict[str, tuple[str, str]] = {
    "a table": ("DROP TABLE usage_days", "lacks usage_days"),
    "a table that stands beside its reader": ("DROP TABLE alerts", "lacks alerts"),
    "a column": ("ALTER TABLE keys DROP COLUMN team", r"lacks keys\.team"),
    "its version": ("DELETE FROM alembic_version", "no schema version"),
    "the table of its version": ("DROP TABLE alembic_version", "no schema version"),
    "all secrets' table and version": ("DROP TABLE alembic_version", "no schema version"),
}
STRANGE: dict[str, tuple[str, str]] = {
    "newer": ("UPDATE alembic_version SET version_num = '9999'", "newer than this version"),
    "never made": ("UPDATE alembic_version SET version_num = '0000'", "no version of Halley has made"),
    "of two schemas": ("INSERT INTO alembic_version VALUES ('0001')", "several schemas"),
}


@pytest.mark.parametrize(("statement", "words"), [*HALF.values(), *STRANGE.values()], ids=[*HALF, *STRANGE])
def test_a_store_that_this_version_must_not_touch_is_refused_and_left_alone(statement: str, words: str, tmp_path: Path) -> None:
    open_store("", tmp_path, "", {}).close()
    with closing(sqlite3.connect(tmp_path / "halley.db")) as connection:
        connection.execute(statement)
        connection.commit()
    before = everything(tmp_path)
    for opening in (lambda: open_store("", tmp_path, "", {}), lambda: open_store("", tmp_path, "", {}, migrate=True)):
        with pytest.raises(StoreError, match=words):
            opening()
    with pytest.raises(StoreError, match=words):
        outlook("", tmp_path)
    assert everything(tmp_path) == before


def test_a_half_store_does_not_get_a_new_master_key(tmp_path: Path) -> None:
    open_store("", tmp_path, "", {}).close()
    (tmp_path / "master.key").unlink()
    with closing(sqlite3.connect(tmp_path / "halley.db")) as connection:
        connection.executescript("DROP TABLE secrets; DROP TABLE alembic_version")
    with pytest.raises(StoreError, match="only in part"):
        open_store("", tmp_path, "", {})
    assert not (tmp_path / "master.key").exists()


def test_half_a_store_on_postgresql_is_refused(fresh: Database, tmp_path: Path) -> None:
    open_store(fresh.url, tmp_path, "", {}).close()
    for statement, words in (HALF["a column"], HALF["its version"]):
        with fresh.unguarded() as raw:
            raw.execute(statement)
        with pytest.raises(StoreError, match=words):
            open_store(fresh.url, tmp_path, "", {}, migrate=True)


def test_what_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "halley.db").write_bytes(b"not a database, " * 1000)
    with pytest.raises(StoreError, match="no SQLite database"):
        open_store("", tmp_path, "", {})
    assert [path.name for path in tmp_path.iterdir()] == ["halley.db"]


def test_a_look_sees_what_is_there_with_and_without_a_trace(tmp_path: Path) -> None:
    path = tmp_path / "halley.db"
    assert look_in(path) == NOTHING
    store = open_store("", tmp_path, "", {})
    with store.begin() as connection:
        customers.create_account(connection, "acme", 0.0, unlimited=True)
        engine = connection.engine
    beside = look_at(engine)
    store.close()
    assert look_in(path) == beside and beside.revision == HEAD and beside.pepper and "id" in beside.columns["accounts"]
    with untouched(path) as address, closing(sqlite3.connect(address, uri=True)) as reading, pytest.raises(sqlite3.OperationalError):
        reading.execute("DELETE FROM accounts")


def test_a_page_that_is_damaged_inside_is_named_with_what_to_do_whoever_reads_it(tmp_path: Path) -> None:
    open_store("", tmp_path, "", {}).close()
    with closing(sqlite3.connect(tmp_path / "halley.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size: int = connection.execute("PRAGMA page_size").fetchone()[0]
        root: int = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'accounts'").fetchone()[0]
    with (tmp_path / "halley.db").open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xa5" * size)
    store = open_store("", tmp_path, "", {})
    for transaction in (store.read, store.begin):
        with pytest.raises(StoreError, match="a damaged one: restore your backup"), transaction() as connection:
            connection.execute(text("SELECT * FROM accounts")).all()
    store.close()


def test_a_store_that_cannot_be_read_is_told_as_that(tmp_path: Path) -> None:
    (tmp_path / "halley.db").mkdir()
    with pytest.raises(StoreError, match="cannot be read"):
        look_in(tmp_path / "halley.db")


def test_a_store_left_by_a_killed_process_on_a_full_disk_is_told_as_that(tmp_path: Path) -> None:
    home, left = tmp_path / "home", tmp_path / "left"
    home.mkdir()
    left.mkdir()
    store = open_store("", home, "", {})
    for name in ("halley.db", "halley.db-wal"):
        shutil.copy(home / name, left / name)
    store.close()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with pytest.raises(StoreError, match="has its disk room"):
            look_in(left / "halley.db")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert look_in(left / "halley.db").revision == HEAD
