"""From every schema to the newest: what is planned is what is sent, an interrupted migration is none, and nothing is lost."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import MetaData, create_engine, event, inspect, text
from sqlalchemy.engine import make_url

from halley.store import customers, steps
from halley.store.database import HEAD, StoreError, open_store, outlook
from halley.store.postgres import DRIVER
from halley.store.verify import verify
from tests.store.raw import Database
from tests.store.test_database import everything
from tests.store.test_tags import NAMES, NOW, Table, content, restore, tables

KNOWN = steps.known()
TAG = "v0.1"
# What an operator's store may have in the tables that came after the first schema; of each as much as its schema has.
SAMPLES: dict[str, dict[str, object]] = {
    "users": {"id": "usr_1", "name": "bob", "created_at": 1.5},
    "memberships": {"user": "usr_1", "account": "prepaid", "role": "owner"},
    "tokens": {
        "id": "tok_1",
        "digest": b"\x00\xff\x01",
        "user": "usr_1",
        "account": "prepaid",
        "name": "ci",
        "shown": "pat-…",
        "scopes": "[]",
        "created_at": 2.5,
    },
    "kept": {"answer": "resp_1", "account": "prepaid", "at": 3.5, "provider": "p", "sealed": b"\x00" * 40},
    "claims": {"account": "prepaid", "key": b"k", "body": b"b", "request": "req_1", "relay": "relay-0-1-1", "at": 4.5},
    "payments": {"order": "o1", "way": "w", "account": "prepaid", "amount": 5, "state": "pending", "at": 5.5},
    "teams": {"account": "prepaid", "name": "red", "source": "store", "created_at": 6.5},
    "budgets": {
        "id": "bud_1",
        "account": "prepaid",
        "level": "account",
        "subject": "prepaid",
        "amount": 10**12,
        "reset": "month",
        "source": "store",
        "created_at": 7.5,
    },
    "pots": {"budget": "bud_1", "start": 0, "user": "", "lent": 0, "spent": 0, "alerted": 0},
    "alerts": {"id": "evt_1", "at": 8.5, "kind": "budget.reached", "body": "{}", "attempts": 0, "told": True},
}


def at(revision: str, home: Path) -> tuple[Path, list[Table]]:
    """A store as the version of that schema has left it, with rows in every table of `SAMPLES` that it has."""
    path = restore(TAG, home)
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        steps.upgrade(connection, revision)
    engine.dispose()
    old = tables(path)
    with closing(sqlite3.connect(path)) as connection:
        for name, columns in old:
            if name in SAMPLES:
                row = {column: value for column, value in SAMPLES[name].items() if column in columns}
                names = ", ".join(f'"{column}"' for column in row)
                connection.execute(f"INSERT INTO {name} ({names}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))  # noqa: S608
        connection.commit()
    return path, old


@pytest.mark.parametrize("revision", KNOWN)
def test_a_store_of_every_schema_comes_to_the_head_with_everything_that_was_in_it(revision: str, tmp_path: Path) -> None:
    path, old = at(revision, tmp_path)
    assert {name for name, _ in old} & SAMPLES.keys() == {name for name, rows in content(path, old).items() if rows} & SAMPLES.keys()
    before = content(path, old)
    store = open_store("", tmp_path, "", {})
    with store.read() as connection:
        assert verify(connection).differences == ()
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
    assert store.revision == HEAD
    store.close()
    after = content(path, old)
    # Personal tokens' operator and the like are made at a start of control, not by the migration.
    assert after == before
    assert len(list(tmp_path.glob(f"halley.db.before-{HEAD}-from-{revision}-*"))) == (revision != HEAD)


@pytest.mark.parametrize("revision", KNOWN)
def test_a_plan_changes_nothing_and_says_what_will_be_sent(revision: str, tmp_path: Path) -> None:
    path, _ = at(revision, tmp_path)
    before = everything(tmp_path)
    ahead = outlook("", tmp_path)
    assert everything(tmp_path) == before
    assert (ahead.revision, ahead.head) == (revision, HEAD)
    assert [step.revision for step in ahead.steps] == KNOWN[KNOWN.index(revision) + 1 :]
    sent: list[str] = []
    engine = create_engine(f"sqlite:///{path}")
    event.listen(engine, "before_cursor_execute", lambda *given: sent.append(_plain(given[2])))
    with engine.begin() as connection:
        steps.upgrade(connection)
    engine.dispose()
    changing = [each for each in sent if each.startswith(("CREATE", "ALTER", "DROP", "INSERT INTO requests_whole"))]
    assert [each for step in ahead.steps for each in map(_plain, step.statements) if each in changing] == changing


def _plain(statement: str) -> str:
    return " ".join(statement.split())


def test_a_plan_counts_the_rows_that_will_be_read_or_written(tmp_path: Path) -> None:
    path, _ = at("0001", tmp_path)
    with closing(sqlite3.connect(path)) as connection:
        count = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in ("requests", "endings")}  # noqa: S608
    rows = {step.revision: step.rows for step in outlook("", tmp_path).steps}
    assert count["requests"] and rows["0002"] == count["requests"] + count["endings"]
    assert rows["0004"] == count["requests"] and rows["0003"] == rows["0009"] == 0


def test_a_plan_of_a_store_that_is_not_there_is_all_steps_and_makes_none(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    ahead = outlook("", home)
    assert ahead.revision is None and [step.revision for step in ahead.steps] == KNOWN and list(home.iterdir()) == []


PROGRAM = """
import sys
from pathlib import Path
from halley import crash
from halley.store.database import open_store
home, point, url = sys.argv[1:]
assert crash.arm("control", home, {"HALLEY_CRASH": point})
open_store(url, Path(home), "", {}, migrate=True)
"""


def killed_at(home: Path, point: str, url: str = "") -> int:
    (home / "crash").mkdir(exist_ok=True)
    (home / "crash" / point.partition(":")[0]).touch()
    done = subprocess.run([sys.executable, "-c", PROGRAM, home, point, url], timeout=60, check=False, capture_output=True)
    return done.returncode


@pytest.mark.parametrize("nth", [1, 2, 7, 13, 29, 40])
def test_a_migration_that_is_killed_between_two_statements_has_changed_nothing(nth: int, tmp_path: Path) -> None:
    path, old = at("0001", tmp_path)
    before = content(path, old)
    assert killed_at(tmp_path, f"control.migration.statement:{nth}") == -9
    assert outlook("", tmp_path).revision == "0001"
    assert content(path, old) == before
    store = open_store("", tmp_path, "", {})
    with store.read() as connection:
        assert store.revision == HEAD and verify(connection).differences == ()
    store.close()
    assert content(path, old) == before


def test_a_migration_of_postgresql_that_is_killed_between_two_statements_has_changed_nothing(fresh: Database, tmp_path: Path) -> None:
    assert killed_at(tmp_path, "control.migration.statement:20", fresh.url) == -9
    assert outlook(fresh.url, tmp_path).revision is None
    store = open_store(fresh.url, tmp_path, "", {})
    assert store.revision == HEAD
    store.close()


def test_a_migration_of_postgresql_waits_until_no_other_node_runs_and_two_at_once_are_one(fresh: Database, tmp_path: Path) -> None:
    open_store(fresh.url, tmp_path, "", {}).close()
    with fresh.unguarded() as raw:
        raw.execute("DROP TRIGGER requests_no_delete ON requests")
        for table in ("nodes", "alerts"):
            raw.execute(f"DROP TABLE {table} CASCADE")
        raw.execute("DROP FUNCTION halley_append_only() CASCADE")
        raw.execute("ALTER TABLE journals DROP COLUMN node")
        raw.execute("UPDATE alembic_version SET version_num = '0008'")
    with pytest.raises(StoreError, match="halley migrate"):
        open_store(fresh.url, tmp_path, "", {})
    assert [step.revision for step in outlook(fresh.url, tmp_path).steps] == [each for each in KNOWN if each > "0008"]
    seen: list[str | None] = []

    def migrate() -> None:
        store = open_store(fresh.url, tmp_path, "", {}, migrate=True)
        seen.append(store.revision)
        store.close()

    threads = [threading.Thread(target=migrate) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [HEAD, HEAD] and outlook(fresh.url, tmp_path).steps == ()
    with fresh.unguarded() as raw:
        raw.execute("UPDATE alembic_version SET version_num = '0009'")
        raw.execute("INSERT INTO nodes VALUES ('feed', extract(epoch from now()), 0, NULL)")
    with pytest.raises(StoreError, match=r"Other nodes are running on the store \(feed\)"):
        open_store(fresh.url, tmp_path, "", {}, migrate=True)


@pytest.mark.parametrize("revision", KNOWN)
def test_a_store_in_postgresql_of_every_schema_comes_to_the_head_with_everything_that_was_in_it(
    revision: str, fresh: Database, tmp_path: Path
) -> None:
    """Those before 0010 never were there; the way from them is the same."""
    path, old = at(revision, tmp_path)
    carry(path, old, revision, fresh.url)
    before = content_there(fresh.url, old)
    assert {name: len(rows) for name, rows in before.items()} == {name: len(rows) for name, rows in content(path, old).items()}
    ahead = outlook(fresh.url, tmp_path)
    assert (ahead.revision, [step.revision for step in ahead.steps]) == (revision, KNOWN[KNOWN.index(revision) + 1 :])
    assert all(step.rows >= len(before["requests"]) for step in ahead.steps if step.revision in ("0002", "0004"))
    assert content_there(fresh.url, old) == before
    if revision != HEAD:
        with pytest.raises(StoreError, match="halley migrate"):
            open_store(fresh.url, tmp_path, "", {})
    store = open_store(fresh.url, tmp_path, "", {}, migrate=True)
    assert store.revision == HEAD
    with store.begin() as connection:
        assert verify(connection).differences == ()
        customers.add_credit(connection, "prepaid", 7, 1.0)  # what numbers itself goes on behind what is there
    store.close()
    after = content_there(fresh.url, old)
    assert {name: [row for row in rows if row not in after[name]] for name, rows in before.items() if name != "balances"} == {
        name: [] for name in before if name != "balances"
    }
    assert [len(after[name]) - len(before[name]) for name in ("postings", "accounts", "keys")] == [1, 0, 0]


def carry(path: Path, old: list[Table], revision: str, url: str) -> None:
    """What the SQLite store has, in a database with the same schema."""
    engine = create_engine(make_url(url).set(drivername=DRIVER))
    with engine.begin() as connection:
        steps.upgrade(connection, revision)
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        there = MetaData()
        there.reflect(connection)
        for name, rows in content(path, old).items():
            columns = there.tables[name].columns
            names = next(found for table, found in old if table == name)
            kinds = [columns[column].type.python_type for column in names]
            values = [
                [bool(value) if kind is bool and value is not None else value for kind, value in zip(kinds, row, strict=True)]
                for row in rows
            ]
            if values:
                connection.execute(there.tables[name].insert(), [dict(zip(names, row, strict=True)) for row in values])
        for numbered in ("postings", "entries", "strays"):
            highest = f"SELECT coalesce(max(id), 0) + 1 FROM {numbered}"  # noqa: S608 (a name of ours)
            connection.execute(text(f"SELECT setval(pg_get_serial_sequence('{numbered}', 'id'), ({highest}))"))
    engine.dispose()


def content_there(url: str, of: list[Table]) -> dict[str, list[tuple[object, ...]]]:
    """As `content`, of a store in PostgreSQL."""
    engine = create_engine(make_url(url).set(drivername=DRIVER))
    with engine.connect() as connection:
        names = set(inspect(connection).get_table_names())
        found: dict[str, list[tuple[object, ...]]] = {}
        for name, columns in of:
            source, renamed = (name, {}) if name in names else (f"{NOW[name]} AS former", NAMES)
            rows = connection.execute(text(f"SELECT * FROM {source}")).mappings().all()  # noqa: S608 (names of our own tables)
            found[name] = sorted((tuple(row[renamed.get((name, column), column)] for column in columns) for row in rows), key=repr)
    engine.dispose()
    return found


def test_a_step_that_fails_leaves_the_store_as_it_is_and_says_so(tmp_path: Path) -> None:
    path, old = at("0005", tmp_path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE payments (mine TEXT)")
        connection.commit()
    before = content(path, old)
    with pytest.raises(StoreError, match=r"from schema 0005 to .* left as it is: table payments already exists"):
        open_store("", tmp_path, "", {})
    assert content(path, old) == before and outlook("", tmp_path).revision == "0005"


def test_the_head_is_the_last_step() -> None:
    assert KNOWN[-1] == HEAD and [step.revision for step in steps.planned(None, "postgresql")] == KNOWN
    with pytest.raises(StoreError, match="not a URL"):
        outlook("nothing", Path())


def test_what_is_planned_for_postgresql_is_what_it_takes(fresh: Database, tmp_path: Path) -> None:
    with fresh.unguarded() as raw:
        for step in steps.planned(None, "postgresql"):
            for statement in step.statements:
                raw.execute(statement)
    store = open_store(fresh.url, tmp_path, "", {})
    with store.read() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == HEAD
    store.close()
