"""Opening a store: the right key, the right schema, one writer, nothing written before it is known that it may be."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from halley.secret import SecretBytes
from halley.store import alerts, customers, schema
from halley.store.database import HEAD, Away, Store, StoreError, StoreLock, open_store
from halley.store.vault import Vault, VaultError


def everything(home: Path) -> dict[str, tuple[bytes, int, int]]:
    """Name to content, time of the last change and mode of every file."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_mode) for path in home.iterdir()}


def test_the_migrations_build_exactly_the_schema(store: Store) -> None:
    with store.begin() as connection:
        assert alerts.alerts.metadata is schema.metadata
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []


def test_a_store_keeps_its_pepper(tmp_path: Path) -> None:
    first = open_store("", tmp_path, "", {})
    first.close()
    second = open_store("", tmp_path, "", {})
    assert second.pepper == first.pepper and len(first.pepper.reveal()) == 32 and second.revision == HEAD
    second.close()
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in ("halley.db", "master.key")} == {0o600}


def test_a_store_made_with_another_master_key_is_refused_and_left_alone(tmp_path: Path) -> None:
    open_store("", tmp_path, "env:KEY", {"KEY": "ab" * 32}).close()
    before = everything(tmp_path)
    with pytest.raises(VaultError, match="another master key"):
        open_store("", tmp_path, "env:KEY", {"KEY": "cd" * 32})
    assert everything(tmp_path) == before


@pytest.mark.parametrize("index", [True, False], ids=["with its index", "without"])
def test_a_store_that_a_kill_left_behind_is_refused_and_left_alone_too(tmp_path: Path, index: bool) -> None:
    program = (
        "import os, sys; from pathlib import Path; from halley.store.database import open_store; from halley.store import customers\n"
        "store = open_store('', Path(sys.argv[1]), 'env:KEY', {'KEY': 'ab' * 32})\n"
        "with store.begin() as connection: customers.create_account(connection, 'acme', 0.0, unlimited=True)\n"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path], check=False, timeout=60)
    if not index:
        (tmp_path / "halley.db-shm").unlink()
    before = everything(tmp_path)
    assert before["halley.db-wal"][0]
    with pytest.raises(VaultError, match="another master key"):
        open_store("", tmp_path, "env:KEY", {"KEY": "cd" * 32})
    assert everything(tmp_path) == before
    store = open_store("", tmp_path, "env:KEY", {"KEY": "ab" * 32})
    with store.begin() as connection:
        assert [each.id for each in customers.list_accounts(connection)] == ["acme"]
    store.close()


@pytest.mark.parametrize("value", ["", "zz" * 32, "ab" * 31])
def test_a_master_key_that_is_none_is_refused_before_a_store_is_made(tmp_path: Path, value: str) -> None:
    with pytest.raises(VaultError):
        open_store("", tmp_path, "env:KEY", {"KEY": value})
    assert list(tmp_path.iterdir()) == []


def test_a_lost_master_key_is_not_replaced_by_a_new_one(tmp_path: Path) -> None:
    open_store("", tmp_path, "", {}).close()
    (tmp_path / "master.key").unlink()
    with pytest.raises(VaultError, match="restore it"):
        open_store("", tmp_path, "", {})
    assert not (tmp_path / "master.key").exists()


def test_a_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    open_store("", tmp_path, "", {}).close()
    raw = sqlite3.connect(tmp_path / "halley.db")
    raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.commit()
    raw.close()
    with pytest.raises(StoreError, match="newer"):
        open_store("", tmp_path, "", {})


def test_nobody_else_reads_the_store_nor_what_stands_beside_it(tmp_path: Path) -> None:
    for _ in range(2):
        store = open_store("", tmp_path, "", {})
        with store.begin() as connection:
            connection.exec_driver_sql("SELECT 1")
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob("halley.db*")}
        assert {"halley.db", "halley.db-wal", "halley.db-shm"} <= modes.keys()
        assert set(modes.values()) == {0o600}
        store.close()


def test_only_one_process_writes(tmp_path: Path) -> None:
    lock = StoreLock(tmp_path)
    with pytest.raises(StoreError, match="Another"):
        StoreLock(tmp_path)
    lock.release()
    StoreLock(tmp_path).release()


def test_a_wrapped_secret_does_not_pass_for_another() -> None:
    vault = Vault(SecretBytes(bytes(32)), "here")
    wrapped = vault.wrap("pepper", SecretBytes(b"secret"))
    assert vault.unwrap("pepper", wrapped) == SecretBytes(b"secret")
    with pytest.raises(VaultError):
        vault.unwrap("salt", wrapped)


@pytest.mark.parametrize("url", ["postgresql+nothing://u:hunter2hunter2@h/d", "hunter2hunter2", "nothing://u:hunter2hunter2@h/d"])
def test_a_database_that_cannot_be_is_refused_without_its_password(tmp_path: Path, url: str) -> None:
    with pytest.raises(StoreError, match=r"\[store\] url") as refusal:
        open_store(url, tmp_path, "", {})
    assert "hunter2" not in str(refusal.value)


def test_a_database_that_comes_and_goes_is_told_of_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    store = open_store("", tmp_path, "", {})
    with closing(sqlite3.connect(tmp_path / "halley.db", isolation_level=None)) as stranger:
        with store.read() as connection:
            connection.exec_driver_sql("PRAGMA busy_timeout = 1")
        with store.begin() as connection:
            connection.exec_driver_sql("PRAGMA busy_timeout = 1")
        for _ in range(3):
            stranger.execute("BEGIN IMMEDIATE")
            with pytest.raises(Away), store.begin():
                pass
            with store.read():  # whoever reads does not find it back
                pass
            stranger.execute("ROLLBACK")
            with store.begin():
                pass
    store.close()
    said = capfd.readouterr().err
    assert (said.count("the database is away"), said.count("the database is back")) == (1, 1), said
