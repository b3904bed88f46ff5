"""PostgreSQL's own: its URL, who may write when, what a restart of the server does, and what its refusals mean."""

from __future__ import annotations

import select as selecting
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import insert, make_url, select, text
from sqlalchemy.exc import DataError, IntegrityError

from halley.store import customers, nodes, postgres, schema
from halley.store.database import HEAD, Away, Store, StoreError, open_store
from tests.harness.process import until
from tests.store.raw import Database


@pytest.fixture
def database(shelf: Callable[[], Database]) -> Database:
    return shelf()


@pytest.fixture
def other(database: Database, store: Store, tmp_path: Path) -> Iterator[Store]:
    """The same database, as the control process of another node has it."""
    home = tmp_path / "other"
    home.mkdir()
    (home / "master.key").write_text((tmp_path / "master.key").read_text())
    (home / "master.key").chmod(0o600)
    opened = open_store(database.url, home, "", {})
    yield opened
    opened.close()


def test_another_node_opens_the_same_store_with_the_same_key(store: Store, other: Store) -> None:
    assert other.pepper == store.pepper and other.revision == HEAD
    assert nodes.ALONE not in (store.node, other.node) and store.node != other.node


def test_who_may_write_waits_for_who_writes_and_sees_what_it_wrote(store: Store, other: Store) -> None:
    began, seen = threading.Event(), list[bool]()

    def second() -> None:
        began.set()
        with other.begin() as connection:
            seen.append(customers.is_unlimited(connection, "acme"))

    with store.begin() as connection:
        thread = threading.Thread(target=second)
        thread.start()
        began.wait()
        with store.read() as waiting:
            asks = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            until(lambda: bool(waiting.scalar(asks)), lambda: "nobody waits")
        customers.make_unlimited(connection, "acme")
        assert not seen
    thread.join()
    assert seen == [True]


def test_who_reads_waits_for_nobody_and_writes_nothing(store: Store, other: Store) -> None:
    with store.begin() as connection:
        customers.make_unlimited(connection, "acme")
        with other.read() as reading:
            assert not customers.is_unlimited(reading, "acme")
    with pytest.raises(Away, match="read-only"), other.read() as reading:
        customers.make_unlimited(reading, "free")


def test_what_is_committed_is_on_disk_whatever_the_server_is_set_to(store: Store) -> None:
    with store.begin() as connection:
        connection.execute(text("SELECT set_config('synchronous_commit', 'off', false)"))
    with store.begin() as connection:
        assert connection.scalar(text("SELECT current_setting('synchronous_commit')")) == "on"


def test_a_connection_that_the_server_has_cut_is_replaced(store: Store, database: Database) -> None:
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'halley' AND datname = current_database()"
    with store.read() as first, store.read():
        assert first.scalar(text("SELECT 1")) == 1
    with database.unguarded() as raw:
        assert raw.execute(cut).rowcount == 2
    with store.begin() as connection:
        assert connection.scalar(text("SELECT 1")) == 1


def test_a_connection_that_is_reset_while_an_answer_is_waited_for_is_replaced(database: Database, tmp_path: Path) -> None:
    behind = make_url(database.url)
    door, cut = tmp_path / "door", threading.Event()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(door))
        listener.listen()
        threading.Thread(target=_between, args=(listener, behind.query["unix_sock"], cut), daemon=True).start()
        engine = postgres.engine(behind.update_query_dict({"unix_sock": str(door)}))
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT 1")) == 1
        cut.set()
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT 2")) == 2
        assert not cut.is_set()
        engine.dispose()


def _between(listener: socket.socket, behind: str, cut: threading.Event) -> None:
    """Between one client after the other and the server. What comes after `cut` is not read, and a socket closed over that is a reset."""
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            with client, socket.socket(socket.AF_UNIX) as server:
                server.connect(behind)
                way = {client: server, server: client}
                while ready := selecting.select(list(way), [], [])[0]:
                    if cut.is_set():
                        cut.clear()
                        break
                    if not (data := ready[0].recv(65536)):
                        break
                    way[ready[0]].sendall(data)


def test_a_server_that_dies_within_a_transaction_is_away_and_comes_back(store: Store) -> None:
    with pytest.raises(Away, match="database cannot be used"), store.begin() as connection:
        connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        customers.make_unlimited(connection, "acme")
    with store.begin() as connection:
        assert not customers.is_unlimited(connection, "acme")


def test_what_no_column_takes_is_called_what_it_is(store: Store) -> None:
    free = {"unlimited": True, "source": "store", "created_at": 0.0}
    with pytest.raises(DataError), store.begin() as connection:
        connection.execute(insert(schema.accounts).values(id="\0", **free))
    with pytest.raises(DataError), store.begin() as connection:
        connection.execute(insert(schema.balances).values(ledger_account="x", amount=1 << 63))
    with pytest.raises(IntegrityError) as refusal, store.begin() as connection:
        connection.execute(insert(schema.accounts).values(id="acme", **free))
    assert "acme" not in str(refusal.value), "an exception holds what the rows hold"


def test_sums_of_money_do_not_leave_their_type(store: Store) -> None:
    most = (1 << 62) + 1
    with store.begin() as connection:
        names = ("held:a", "held:b", "held:c", "held:d")
        connection.execute(insert(schema.balances), [{"ledger_account": name, "amount": most} for name in names])
        amounts = connection.scalars(select(schema.balances.c.amount).where(schema.balances.c.ledger_account.in_(names)))
        assert list(amounts) == [most] * 4
        assert connection.scalar(text("SELECT sum(amount) FROM balances WHERE ledger_account LIKE 'held:_'")) == 4 * most


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://u:hunter2hunter2@h/d?sslmode=perhaps", "sslmode"),
        ("postgresql://u:hunter2hunter2@h/d?sslcert=hunter2hunter2", "sslcert"),
        ("postgresql://u:hunter2hunter2@h/d?sslmode=disable&sslmode=require", "twice"),
        ("postgresql+psycopg://u:hunter2hunter2@h/d", "another driver"),
    ],
)
def test_a_url_that_asks_for_what_cannot_be_is_refused_without_its_password(tmp_path: Path, url: str, words: str) -> None:
    with pytest.raises(StoreError, match=words) as refusal:
        open_store(url, tmp_path, "", {})
    assert "hunter2" not in str(refusal.value)


def test_a_server_that_is_not_there_is_named_as_away_without_the_password(tmp_path: Path) -> None:
    for place in ("127.0.0.1:1/d", f"/d?unix_sock={tmp_path}/none"):
        with pytest.raises(Away, match="no connection") as refusal:
            open_store(f"postgresql://u:hunter2hunter2@{place}", tmp_path, "", {})
        assert "hunter2" not in str(refusal.value)


def test_two_nodes_that_make_the_store_at_once_make_one(fresh: Database, tmp_path: Path) -> None:
    homes = [tmp_path / name for name in "ab"]
    opened: list[Store] = []

    def open_one(home: Path) -> None:
        home.mkdir()
        opened.append(open_store(fresh.url, home, "env:KEY", {"KEY": "ab" * 32}))

    threads = [threading.Thread(target=open_one, args=(home,)) for home in homes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 2 and opened[0].pepper == opened[1].pepper
    for store in opened:
        store.close()


def test_a_schema_that_is_there_is_migrated_only_when_that_is_asked_for(store: Store, database: Database, tmp_path: Path) -> None:
    with database.unguarded() as raw:
        raw.execute("UPDATE alembic_version SET version_num = '0001'")
        try:
            with pytest.raises(StoreError, match="halley migrate"):
                open_store(database.url, tmp_path, "", {})
        finally:
            raw.execute("UPDATE alembic_version SET version_num = ?", (HEAD,))


def test_a_frozen_writer_keeps_the_lock_for_a_limited_time(store: Store) -> None:
    with store.begin() as connection:
        limit = connection.scalar(text("SELECT setting::int FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout'"))
    assert limit == 60_000
