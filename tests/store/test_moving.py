"""A store comes to PostgreSQL whole, proven and serving, or the target stays empty."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select

from halley.store import customers, ledger, schema
from halley.store.database import METADATA, StoreError, StoreLock, open_store
from halley.store.moving import move, spelled
from halley.store.verify import verify
from tests.harness.gateway import Gateway
from tests.harness.http import ask
from tests.harness.postgres import Server
from tests.harness.priced import configuration, encoded
from tests.harness.process import HALLEY, environment
from tests.harness.simulator import Simulator
from tests.store.tagged import MODELS, PREFIX
from tests.store.test_steps import at
from tests.store.test_tags import facts

HOSTILE = "tab\t line\n return\r back\\slash \\N \\. ünï 🜁 'quote\" %s"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Of an SQLite store with rows in every table, and texts that are hard to say."""
    at("0010", tmp_path)
    store = open_store("", tmp_path, "", {})
    with store.begin() as connection:
        connection.execute(schema.users.insert().values(id="usr_2", name=HOSTILE, created_at=0.1 + 0.2))
        connection.execute(schema.strays.insert().values(at=1e-300, relay="r", reason="\\N", line=bytes(range(256))))
    store.close()
    return tmp_path


@pytest.fixture
def none(postgres: Server) -> Iterator[str]:
    """The URL of an empty database."""
    name = postgres.create()
    yield postgres.url(name)
    postgres.drop(name)


def rows(url: str, home: Path) -> dict[str, list[tuple[object, ...]]]:
    store = open_store(url, home, "", {})
    try:
        with store.read() as connection:
            return {table.name: sorted(map(tuple, connection.execute(select(table))), key=repr) for table in METADATA.sorted_tables}
    finally:
        store.close()


def test_everything_comes_over_and_the_store_goes_on_from_there(home: Path, none: str) -> None:
    before = rows("", home)
    assert {name for name, found in before.items() if not found} <= {"nodes", "pot_leases", "request_pots", "price_changes"}
    done = move("", home, "", {}, none)
    assert done.rows == {name: len(found) for name, found in before.items()}
    assert rows(none, home) == before
    store = open_store(none, home, "", {})
    with store.begin() as connection:
        customers.add_credit(connection, "prepaid", 7, 1.0)
        ledger.grant(connection, "prepaid", "relay-9-9-9", 7, 1.0)
        connection.execute(schema.strays.insert().values(at=1.0, relay="r", reason="x", line=b""))
        newest = connection.scalars(select(schema.postings.c.id).order_by(schema.postings.c.id.desc()).limit(2)).all()
        highest = max(int(str(row[0])) for row in before["postings"])
        assert list(newest) == [highest + 2, highest + 1]
        assert verify(connection).requests == done.found.requests
    store.close()


def test_a_store_that_was_moved_is_no_longer_opened(home: Path, none: str) -> None:
    move("", home, "", {}, none)
    with pytest.raises(StoreError, match="was moved to PostgreSQL"):
        open_store("", home, "", {})


def test_a_target_that_is_not_empty_is_refused(home: Path, none: str, postgres: Server) -> None:
    name = none.split("/")[3].split("?")[0]
    postgres.sql("CREATE TABLE mine (x int)", name)
    with pytest.raises(StoreError, match=r"not empty \(mine"):
        move("", home, "", {}, none)
    assert postgres.sql("SELECT count(*) FROM pg_class WHERE relname = 'accounts'", name).strip() == "0"
    assert not (home / "halley.db.moved").exists()


def test_what_postgresql_does_not_take_leaves_the_target_empty_and_the_source_the_store(home: Path, none: str, postgres: Server) -> None:
    with closing(sqlite3.connect(home / "halley.db")) as connection:
        connection.execute("UPDATE keys SET rpm = 99999999999 WHERE rpm IS NOT NULL")
        connection.commit()
    with pytest.raises(StoreError, match=r"does not take keys: .*out of range"):
        move("", home, "", {}, none)
    assert postgres.sql("SELECT count(*) FROM pg_class WHERE relname = 'accounts'", none.split("/")[3].split("?")[0]).strip() == "0"
    open_store("", home, "", {}).close()


PROGRAM = """
import sys
from pathlib import Path
from halley import crash
from halley.store.moving import move
home, url = sys.argv[1:]
assert crash.arm("control", home, {"HALLEY_CRASH": "control.migration.statement:60"})
move("", Path(home), "", {}, url)
"""


def test_a_move_that_is_killed_has_moved_nothing_and_is_done_by_the_next(home: Path, none: str) -> None:
    (home / "crash").mkdir()
    (home / "crash" / "control.migration.statement").touch()
    assert subprocess.run([sys.executable, "-c", PROGRAM, home, none], timeout=60, check=False).returncode == -9
    before = rows("", home)
    move("", home, "", {}, none)
    assert rows(none, home) == before


def test_a_move_that_is_killed_once_everything_is_over_is_found_to_be_done(home: Path, none: str) -> None:
    (home / "crash").mkdir()
    (home / "crash" / "move.committed").touch()
    arguments = ("move", "--to", "env:TARGET", "--json")
    environ = environment(home, {"TARGET": none, "HALLEY_CRASH": "move.committed"})
    before = rows("", home)
    killed = subprocess.run([*HALLEY, *arguments], env=environ, cwd=home, timeout=60, check=False, capture_output=True)
    assert killed.returncode == -9 and b"THIS PROCESS WILL KILL ITSELF" in killed.stderr, killed.stderr
    assert rows(none, home) == before == rows("", home)  # and nobody has been told
    again = subprocess.run([*HALLEY, *arguments], env=environ, cwd=home, timeout=60, check=False, capture_output=True)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["rows"] == {name: len(found) for name, found in before.items()}
    assert rows(none, home) == before
    with pytest.raises(StoreError, match="was moved to PostgreSQL"):
        open_store("", home, "", {})


def test_a_target_where_the_store_has_gone_on_is_refused(home: Path, none: str) -> None:
    move("", home, "", {}, none)
    (home / "halley.db.moved").unlink()
    store = open_store(none, home, "", {})
    with store.begin() as connection:
        customers.add_credit(connection, "prepaid", 7, 1.0)
    store.close()
    before = rows(none, home)
    with pytest.raises(StoreError, match=r"differs from this one \(in balances\)"):
        move("", home, "", {}, none)
    assert rows(none, home) == before and not (home / "halley.db.moved").exists()


def test_only_sqlite_moves_and_only_to_postgresql(home: Path, none: str, tmp_path: Path) -> None:
    for source, target in ((none, none), ("", f"sqlite:///{tmp_path}/other.db")):
        with pytest.raises(StoreError, match="from SQLite to PostgreSQL"):
            move(source, home, "", {}, target)
    with pytest.raises(StoreError, match="There is no store"):
        move("", tmp_path / "none", "", {}, none)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "\\N"), (True, "t"), (False, "f"), (b"\x00\xff", "\\\\x00ff"), (0.1, "0.1"), (-5, "-5"), ("a\\\tb", "a\\\\\\tb")],
)
def test_values_are_spelled_as_copy_reads_them(value: object, text: str) -> None:
    assert spelled(value) == text


def test_the_command_moves_what_a_gateway_then_serves(home: Path, none: str) -> None:
    known = facts("v0.1")
    with Simulator(home) as simulator:
        gateway = Gateway(home.parent / "gateway", configuration(simulator.url, MODELS), environ={"TARGET": none})
        gateway.place.mkdir()
        home.rename(gateway.home)
        gateway.config.write_text(configuration(simulator.url, MODELS))
        lock = StoreLock(gateway.home)
        refused = gateway.cli("move", "--to", "env:TARGET", check=False)
        lock.release()
        assert refused.returncode == 1 and "Another Halley process" in refused.stderr
        done = gateway.cli_json("move", "--to", "env:TARGET")
        assert done["rows"]["keys"] and done["found"]["differences"][0]["check"] == "nothing_was_left_out"
        assert "moved to PostgreSQL" in gateway.cli("ledger", "verify", check=False).stderr
        gateway.environ["HALLEY_STORE_URL"] = none
        with gateway:
            key = PREFIX + known["keys"]["good"]
            assert ask(gateway.url, "POST", "/v1/chat/completions", encoded(MODELS[0], stream=False), key=key)[0] == 200
            running = gateway.cli("move", "--to", "env:TARGET", check=False)
            assert running.returncode == 1 and "A gateway runs" in running.stderr
