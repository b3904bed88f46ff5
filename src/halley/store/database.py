"""Opens the store: finds it, checks the master key before anything is written, backs up and migrates, and hands out transactions.

SQLite runs in WAL mode with synchronous=FULL: what was committed survives a loss of power. One process writes; `StoreLock` says who.
"""

from __future__ import annotations

import fcntl
import os
import secrets as random_bytes
import sqlite3
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, create_engine, event, insert, inspect, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DatabaseError, DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from halley import crash, logs
from halley.secret import SecretBytes
from halley.store import alerts, backup, drafts, nodes, postgres, remains, rotation, schema, steps
from halley.store.masterkey import File, Variable, place
from halley.store.state import PEPPER, State, StoreError, damaged, is_damage, judge, look_at, look_in, untouched
from halley.store.values import Rotated
from halley.store.vault import Vault

HEAD = "0010"
# Schemas that were released, by the version that brought them. Their revisions do not change any more: fixtures/stores has a store of each,
# and every later version takes it on. A tag is added with its fixture, and none is ever removed.
TAGS = {"v0.1": "0001"}
# All tables, also those that stand beside their only reader.
METADATA = alerts.alerts.metadata

# On a full disk a transaction that writes nothing is done, and the next one is not: a log is not the place for each of them.
_TELL_S = 10.0

_log = logs.get("halley.store")

# The driver asks a protocol of its own what to bind for a value that is not exactly a number or a text, and takes 0.8 µs to hear that None
# is None; an adapter is asked first and takes a tenth of that. A row of the ledger has six such values.
_nothing: dict[None, None] = {}
sqlite3.register_adapter(type(None), _nothing.get)
sqlite3.register_adapter(bool, int)


class Away(StoreError):
    """The database cannot be used just now: nothing of the transaction was done, unless it was lost while it was committed."""


class StoreLock:
    """The right to write the store from this home: held by the control process for its life, or by one command while control is down."""

    def __init__(self, home: Path) -> None:
        try:
            self._file = os.open(home / "store.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as fault:
            raise StoreError(f"{home} cannot be written: {fault.strerror}; run as its owner, or set HALLEY_HOME.") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            raise StoreError(f"Another Halley process is writing the store in {home}; wait for it, or ask the running gateway.") from None

    def release(self) -> None:
        os.close(self._file)


class Store:
    """An open store: transactions, the secret that keys are hashed under, and the master key that wraps it."""

    def __init__(self, engine: Engine, path: Path | None, node: str, place: File | Variable, vault: Vault, former: Vault | None) -> None:
        # `nodes.ALONE` where no other home can have the database.
        self.node = node
        self._engine = engine
        self._away = self._told = False
        self._told_at = -_TELL_S
        self._path = path
        self._place = place
        self._vault = vault
        # The master key before this one, while something may still be under it.
        self._former = former
        self.pepper = _pepper(engine, vault)
        logs.guard(self.pepper)
        if former is None:
            place.discard()
        else:
            try:
                self._finish(former)
            except rotation.Unwiped as fault:
                _log.warning("a rotation of the master key is not finished", fault=fault)

    @contextmanager
    def begin(self) -> Generator[Connection]:
        """One transaction: committed when the block ends, rolled back when it raises. Raises Away."""
        with self._at_hand(), self._engine.begin() as connection:
            yield connection
        # Not after a read: there may be no room to write.
        if self._away:
            self._away = False
            if self._told:
                _log.warning("the database is back")

    @contextmanager
    def read(self) -> Generator[Connection]:
        """What is committed now, and stays so until the block ends; others write on. For any thread. Raises Away."""
        with self._at_hand(), self._engine.connect() as plain:
            connection = plain.execution_options(reads=True)
            with connection.begin():
                yield connection

    @contextmanager
    def _at_hand(self) -> Generator[None]:
        """Says that the database is away, once, and no more often than every few seconds where it comes and goes. Damage is no bug."""
        try:
            yield
        except (DatabaseError, InterfaceError) as fault:
            if self._path is not None and is_damage(fault.orig):
                raise damaged(self._path) from fault
            if not isinstance(fault, OperationalError | InterfaceError):
                raise
            if self._path is not None and not _is_busy(fault):
                raise
            if not self._away:
                self._away = True
                self._told = time.monotonic() >= self._told_at + _TELL_S
                if self._told:
                    self._told_at = time.monotonic()
                    _log.error("the database is away", fault=fault.orig)
            raise Away(f"The database cannot be used just now: {fault.orig}") from fault

    def rotate_master_key(self) -> Rotated:
        """A new master key for what the store keeps. Raises VaultError when nothing was changed, Unwiped when it is finished later."""
        if self._former is not None:
            self._finish(self._former)
        former = self._vault
        self._vault, count = rotation.begin(self._engine, self._place, former)
        self._former = former
        return Rotated(str(self._place), count, self._finish(former))

    def _finish(self, former: Vault) -> int:
        backups = rotation.finish(self._engine, self._path, self._place, former, self._vault)
        self._former = None
        return backups

    @property
    def master_key(self) -> str:
        """Where it is, as the setting spells it."""
        return str(self._place)

    @property
    def revision(self) -> str | None:
        return revision(self._engine)

    def close(self) -> None:
        self._engine.dispose()


def open_store(url: str, home: Path, master_key: str, environ: Mapping[str, str], *, migrate: bool = False) -> Store:
    """The store of `home`, made or migrated when needed. Raises StoreError, or VaultError before the first write.

    A PostgreSQL store that is there already is migrated only when `migrate` says so: other nodes may be running on it.
    """
    engine = engine_of(url, home)
    path = _path(engine)
    where = place(master_key, home, environ)
    try:
        return _opened(engine, path, home, where, migrate)
    except (OperationalError, InterfaceError) as fault:
        engine.dispose()
        raise Away(f"The database of [store] url cannot be used: {fault.orig}") from None
    except DatabaseError as fault:
        engine.dispose()
        if path is None or not is_damage(fault.orig):
            raise
        raise damaged(path) from None


def _opened(engine: Engine, path: Path | None, home: Path, where: File | Variable, migrate: bool) -> Store:
    # The vault must be satisfied first, and a look at a database may write: it would make its file, or fold its log into it.
    state = look_at(engine) if path is None else look_in(path)
    if path is not None and (mark := moved(path)).exists():
        raise StoreError(f"This store was moved to PostgreSQL ({mark} says when); set [store] url.")
    judge(state, HEAD, steps.known(), METADATA)
    if not state.columns and (left := remains.of(home, path)):
        raise StoreError(remains.refusal(home, path, left))
    if path is None and state.revision not in (None, HEAD) and not migrate:
        raise StoreError(
            f"The store has schema {state.revision}, this version needs {HEAD}: run `halley migrate` while no node is running."
        )
    vault, former = where.opening(PEPPER, state.pepper) if state.pepper is not None else (where.first(), None)
    if path is not None:
        # SQLite gives its WAL and its index the mode that the database has when it first opens them.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)
    node = nodes.ALONE if path is not None else nodes.own_id(home)
    if state.revision != HEAD:
        _migrate(engine, path, node)
    return Store(engine, path, node, where, vault, former)


def _is_busy(fault: DBAPIError) -> bool:
    """Whether SQLite may take tomorrow what it does not take today: busy, locked, read-only, a bad or full disk, or no file."""
    return getattr(fault.orig, "sqlite_errorcode", 0) & 0xFF in (5, 6, 8, 10, 13, 14)


def _pepper(engine: Engine, vault: Vault) -> SecretBytes:
    with engine.begin() as connection:
        wrapped = connection.scalar(select(schema.secrets.c.wrapped).where(schema.secrets.c.name == PEPPER))
        if wrapped is not None:
            return vault.unwrap(PEPPER, wrapped)
        pepper = SecretBytes(random_bytes.token_bytes(32))
        connection.execute(insert(schema.secrets).values(name=PEPPER, wrapped=vault.wrap(PEPPER, pepper)))
        return pepper


def _reading(engine: Engine) -> Connection:
    return engine.connect().execution_options(reads=True)


def engine_of(url: str, home: Path) -> Engine:
    try:
        where = make_url(url) if url else make_url(f"sqlite:///{home / 'halley.db'}")
        if where.get_backend_name() in ("postgresql", "postgres"):
            return postgres.engine(where)
        # No parameters in its exceptions: they are what the rows hold.
        engine = create_engine(where, hide_parameters=True)
    except ModuleNotFoundError as fault:
        raise StoreError(f"[store] url names a database whose driver is not installed ({fault.name}).") from None
    except postgres.BadUrl as fault:
        raise StoreError(f"[store] url has {fault}.") from None
    except SQLAlchemyError:
        engine = None
    if engine is None or engine.dialect.name != "sqlite":
        # Not SQLAlchemy's own words: they hold the URL, and the URL may hold a password.
        raise StoreError("[store] url is not a URL of a database that Halley knows, such as postgresql://USER@HOST/NAME.")
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: sqlite3.Connection, record: Any) -> None:
    del record
    # Not the driver's own transactions: `_begin` takes the write lock at the start, so that none fails half-way for want of it.
    connection.isolation_level = None
    for pragma in ("busy_timeout = 5000", "journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN" if connection.get_execution_options().get("reads") else "BEGIN IMMEDIATE")


def revision(engine: Engine) -> str | None:
    with _reading(engine) as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.scalar(text("SELECT version_num FROM alembic_version"))


def _migrate(engine: Engine, path: Path | None, node: str) -> None:
    """Alone: who comes second waits for the first and finds its work done."""
    now = revision(engine)
    if now == HEAD:
        return
    if path is None and now is not None:
        _find_nobody(engine, node)
    if path is not None and now is not None:
        _back_up(path, now)
    crash.here("control.migration.begun")
    try:
        with engine.begin() as connection:
            steps.upgrade(connection)
            crash.here("control.migration.uncommitted")
    except SQLAlchemyError as fault:
        # What is away is told of as that, by who has called.
        if isinstance(fault, OperationalError | InterfaceError) and (path is None or _is_busy(fault)):
            raise
        why = getattr(fault, "orig", None) or fault
        raise StoreError(f"The store cannot be brought from schema {now} to {HEAD}, and was left as it is: {why}") from None
    crash.here("control.migration.committed")


def _find_nobody(engine: Engine, node: str) -> None:
    """Raises StoreError while another node runs on the database: it would write rows of a schema that is gone."""
    with _reading(engine) as connection:
        if not inspect(connection).has_table(nodes.nodes.name):
            return
        others = nodes.running(connection, node, time.time())
    if others:
        raise StoreError(f"Other nodes are running on the store ({', '.join(others)}); stop them, and migrate then.")


def _back_up(path: Path, from_revision: str) -> None:
    # A start that ended in the same second may have left one of that name.
    name = f"{path.name}.before-{HEAD}-from-{from_revision}-{time.time_ns()}"
    with drafts.draft(path.with_name(name)) as copy:
        backup.copy(path, copy)


class Outlook(NamedTuple):
    """What `halley migrate` would do: from which schema (None of a store that is not there yet) to which, by which steps."""

    revision: str | None
    head: str
    steps: tuple[steps.Step, ...]


def outlook(url: str, home: Path) -> Outlook:
    """Reads only, and leaves no trace. Raises StoreError for a store that this version must not touch."""
    with aside(url, home) as (engine, _, state):
        judge(state, HEAD, steps.known(), METADATA)
        ahead = steps.planned(state.revision, engine.dialect.name)
        if ahead and state.columns:
            with _reading(engine) as connection:
                ahead = steps.estimated(connection, ahead, state.columns)
        return Outlook(state.revision, HEAD, tuple(ahead))


class Aside(NamedTuple):
    """A database for one who only reads; `path` is SQLite's file."""

    engine: Engine
    path: Path | None
    state: State


@contextmanager
def aside(url: str, home: Path) -> Generator[Aside]:
    """The store's database for one who reads a little, beside whoever runs. Raises StoreError, also within the block."""
    engine = engine_of(url, home)
    path = _path(engine)
    try:
        if path is None or path.with_name(f"{path.name}-shm").exists():
            # In use, or left behind by a process that was killed: as every reader does.
            yield Aside(engine, path, look_at(engine))
        elif not path.exists():
            yield Aside(engine, path, look_in(path))
        else:
            state = look_in(path)
            with untouched(path) as address:
                yield Aside(reader(address), path, state)
    except (OperationalError, InterfaceError) as fault:
        raise Away(f"The database of [store] url cannot be used: {fault.orig}") from None
    finally:
        engine.dispose()


def reader(address: str) -> Engine:
    """Of an SQLite file, by its address with its mode."""
    return create_engine("sqlite://", creator=lambda: sqlite3.connect(address, uri=True), poolclass=NullPool, hide_parameters=True)


def fit(state: State) -> None:
    """Raises StoreError for a store that is not there, or not of this version's schema."""
    judge(state, HEAD, steps.known(), METADATA)
    if state.revision is None:
        raise StoreError("There is no store yet.")
    if state.revision != HEAD:
        raise StoreError(f"The store has schema {state.revision}, this version needs {HEAD}: run `halley migrate` first.")


def moved(path: Path) -> Path:
    """The file beside an SQLite store that says that it is no longer the store."""
    return path.with_name(f"{path.name}.moved")


def _path(engine: Engine) -> Path | None:
    """SQLite's file."""
    return Path(engine.url.database) if engine.dialect.name == "sqlite" and engine.url.database else None
