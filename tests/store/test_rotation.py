"""A new master key: everything opens with it, nothing with the old one, and no crash leaves a store that opens with neither."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from halley.crash import PERMITS, POINTS, VARIABLE
from halley.secret import SecretBytes
from halley.store import customers
from halley.store.database import open_store
from halley.store.rotation import Unwiped
from halley.store.values import Limits
from halley.store.vault import VaultError

OLD, NEW = "11" * 32, "22" * 32
ROTATION = [point for point in POINTS if point.startswith("control.rotation.")]


def made(home: Path) -> SecretBytes:
    """A store with a backup beside it, closed; its pepper."""
    store = open_store("", home, "", {})
    with store.begin() as connection:
        customers.ensure_default(connection, 0.0)
        customers.create_key(connection, store.pepper, "ci", "default", Limits(), 1.0)
    store.close()
    shutil.copy(home / "halley.db", home / "halley.db.before-0002-from-0001-17")
    return store.pepper


def wrappings(path: Path) -> list[bytes]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return [row[0] for row in connection.execute("SELECT wrapped FROM secrets")]


def holders(home: Path, needle: bytes) -> list[str]:
    return sorted(path.name for path in home.iterdir() if path.is_file() and needle in path.read_bytes())


def test_everything_is_under_the_new_key_and_no_byte_of_the_old_wrapping_is_left(tmp_path: Path) -> None:
    pepper, old_key = made(tmp_path), (tmp_path / "master.key").read_text()
    (old,) = wrappings(tmp_path / "halley.db")
    store = open_store("", tmp_path, "", {})
    # Its page goes into the log once more, so that there is an old copy to be wiped there too.
    with store.begin() as connection:
        connection.exec_driver_sql("INSERT INTO secrets VALUES ('another', x'00')")
        connection.exec_driver_sql("DELETE FROM secrets WHERE name = 'another'")
    assert holders(tmp_path, old) == ["halley.db", "halley.db-wal", "halley.db.before-0002-from-0001-17"]
    done = store.rotate_master_key()
    assert (done.master_key, done.secrets, done.backups) == (f"file:{tmp_path / 'master.key'}", 1, 1)
    assert holders(tmp_path, old) == [] and holders(tmp_path, old[12:28]) == []
    with store.begin() as connection:
        customers.create_key(connection, store.pepper, "second", "default", Limits(), 1.0)
    store.close()
    assert holders(tmp_path, old) == [] and (tmp_path / "master.key").read_text() != old_key
    assert not (tmp_path / "master.key.next").exists()
    again = open_store("", tmp_path, "", {})
    assert again.pepper == pepper
    again.close()


def test_the_old_key_opens_neither_store_nor_backup(tmp_path: Path) -> None:
    made(tmp_path)
    old_key = (tmp_path / "master.key").read_text().strip()
    store = open_store("", tmp_path, "", {})
    store.rotate_master_key()
    store.close()
    for name in ("halley.db", "halley.db.before-0002-from-0001-17"):
        home = tmp_path / f"restored-{len(name)}"
        home.mkdir()
        shutil.copy(tmp_path / name, home / "halley.db")
        with pytest.raises(VaultError, match="another master key"):
            open_store("", home, "env:KEY", {"KEY": old_key})
        open_store("", home, "env:KEY", {"KEY": (tmp_path / "master.key").read_text().strip()}).close()


_ROTATE = """
import os, sys; from pathlib import Path; from halley import crash; from halley.store.database import open_store
home = Path(sys.argv[1]); assert crash.arm("control", str(home), os.environ)
open_store("", home, "", {}).rotate_master_key()
"""


@pytest.mark.parametrize("point", ROTATION)
def test_a_kill_at_any_point_leaves_a_store_that_opens_by_itself(tmp_path: Path, point: str) -> None:
    pepper, old_key = made(tmp_path), (tmp_path / "master.key").read_text()
    (old,) = wrappings(tmp_path / "halley.db")
    (tmp_path / PERMITS).mkdir()
    (tmp_path / PERMITS / point).touch()
    command = [sys.executable, "-c", _ROTATE, str(tmp_path)]
    assert subprocess.run(command, env={VARIABLE: point}, capture_output=True, timeout=60, check=False).returncode == -9
    turned = point not in ("control.rotation.drafted", "control.rotation.uncommitted")
    store = open_store("", tmp_path, "", {})
    assert store.pepper == pepper
    assert not (tmp_path / "master.key.next").exists()
    assert ((tmp_path / "master.key").read_text() != old_key) is turned
    assert bool(holders(tmp_path, old)) is not turned
    store.rotate_master_key()
    assert store.pepper == pepper and holders(tmp_path, old) == []
    store.close()
    open_store("", tmp_path, "", {}).close()


def test_a_reader_that_stays_delays_the_wiping_and_not_the_key(tmp_path: Path) -> None:
    pepper = made(tmp_path)
    (old,) = wrappings(tmp_path / "halley.db")
    store = open_store("", tmp_path, "", {})
    with closing(sqlite3.connect(tmp_path / "halley.db", isolation_level=None)) as reader:
        reader.execute("BEGIN").close()
        reader.execute("SELECT * FROM secrets").fetchall()
        with pytest.raises(Unwiped, match="run the command again"):
            store.rotate_master_key()
        with store.begin() as connection:
            customers.create_key(connection, store.pepper, "more", "default", Limits(), 1.0)
    done = store.rotate_master_key()
    assert done.secrets == 1 and holders(tmp_path, old) == []
    store.close()
    again = open_store("", tmp_path, "", {})
    assert again.pepper == pepper
    again.close()


def test_a_variable_is_turned_in_two_steps(tmp_path: Path) -> None:
    open_store("", tmp_path, "env:KEY", {"KEY": OLD}).close()
    both = {"KEY": OLD, "KEY_NEXT": NEW}
    store = open_store("", tmp_path, "env:KEY", both)
    store.rotate_master_key()
    with pytest.raises(VaultError, match="KEY_NEXT holds the key that is in force already"):
        store.rotate_master_key()
    store.close()
    for environ in (both, {"KEY": NEW}):
        open_store("", tmp_path, "env:KEY", environ).close()
    with pytest.raises(VaultError, match="another master key"):
        open_store("", tmp_path, "env:KEY", {"KEY": OLD})


def test_a_backup_that_cannot_be_read_stops_nothing(tmp_path: Path) -> None:
    made(tmp_path)
    (tmp_path / "halley.db.before-0003-from-0002-18").write_bytes(b"not a database" * 100)
    store = open_store("", tmp_path, "", {})
    assert store.rotate_master_key().backups == 1
    store.close()
