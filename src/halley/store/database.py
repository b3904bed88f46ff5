"""Opens the store: finds it, checks the master key before anything is written, backs up and migrates, and hands out transactions.

SQLite runs in WAL mode with synchronous=FULL: what was committed survives a loss of power. One process writes; `StoreLock` says who.
"""

from __future__ import annotations

import fcntl
import os
import secrets as random_bytes
import sqlite3
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, insert, inspect, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from halley import crash, logs
from halley.errors import HalleyError
from halley.secret import SecretBytes
from halley.store import rotation, schema
from halley.store.masterkey import File, Variable, place
from halley.store.values import Rotated
from halley.store.vault import Vault

HEAD = "0002"
# Schemas that were released, by the version that brought them. Their revisions do not change any more: fixtures/stores has a store of each,
# and every later version takes it on. A tag is added with its fixture, and none is ever removed.
TAGS = {"v0.1": "0001"}
_PEPPER = "pepper"

_log = logs.get("halley.store")

# The driver asks a protocol of its own what to bind for a value that is not exactly a number or a text, and takes 0.8 µs to hear that None
# is None; an adapter is asked first and takes a tenth of that. A row of the ledger has six such values.
_nothing: dict[None, None] = {}
sqlite3.register_adapter(type(None), _nothing.get)
sqlite3.register_adapter(bool, int)


class StoreError(HalleyError):
    """The store cannot be opened or must not be written; the message says what to do."""


class StoreLock:
    """The right to write the store: held by the control process for its life, or by one command while control is down."""

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

    def __init__(self, engine: Engine, path: Path | None, place: File | Variable, vault: Vault, former: Vault | None) -> None:
        self._engine = engine
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
        """One transaction: committed when the block ends, rolled back when it raises."""
        with self._engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Generator[Connection]:
        """What is committed now, and stays so until the block ends; others write on. For any thread."""
        with self._engine.connect() as plain:
            options = {"reads": True} if plain.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
            connection = plain.execution_options(**options)
            with connection.begin():
                yield connection

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
    engine = _engine(url, home)
    path = Path(engine.url.database) if engine.dialect.name == "sqlite" and engine.url.database else None
    where = place(master_key, home, environ)
    # The vault must be satisfied first, and a look at a database may write: it would make its file, or fold its log into it.
    found = _found(engine) if path is None else _found_in(path)
    vault, former = where.opening(_PEPPER, found) if found is not None else (where.first(), None)
    if path is not None:
        # SQLite gives its WAL and its index the mode that the database has when it first opens them.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)
    _migrate(engine, path, migrate)
    return Store(engine, path, where, vault, former)


def _pepper(engine: Engine, vault: Vault) -> SecretBytes:
    with engine.begin() as connection:
        wrapped = connection.scalar(select(schema.secrets.c.wrapped).where(schema.secrets.c.name == _PEPPER))
        if wrapped is not None:
            return vault.unwrap(_PEPPER, wrapped)
        pepper = SecretBytes(random_bytes.token_bytes(32))
        connection.execute(insert(schema.secrets).values(name=_PEPPER, wrapped=vault.wrap(_PEPPER, pepper)))
        return pepper


_FIND = "SELECT wrapped FROM secrets WHERE name = 'pepper'"


def _found(engine: Engine) -> bytes | None:
    with engine.connect() as connection:
        return connection.scalar(text(_FIND)) if inspect(connection).has_table("secrets") else None


def _found_in(path: Path) -> bytes | None:
    """The same of an SQLite file, without a trace: a store that is refused stays as it is, byte for byte."""
    if not path.exists():
        return None
    log = path.with_name(f"{path.name}-wal")
    if not log.exists() or not log.stat().st_size:
        return _look(path, "immutable=1")
    # What a killed process left in its log counts too. Under other names, so that the index which SQLite makes for it is ours.
    with tempfile.TemporaryDirectory(prefix=".look-", dir=path.parent) as directory:
        try:
            for name in (path, log):
                os.link(name, Path(directory) / name.name)
        except OSError:  # a file system without links: the index beside the database is touched, which is no part of it
            return _look(path, "mode=ro")
        return _look(Path(directory) / path.name, "mode=ro")


def _look(path: Path, how: str) -> bytes | None:
    with closing(sqlite3.connect(f"file:{quote(os.fspath(path))}?{how}", uri=True)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'secrets'").fetchall():
            return None
        return next((row[0] for row in connection.execute(_FIND)), None)


def _engine(url: str, home: Path) -> Engine:
    try:
        # No parameters in its exceptions: they are what the rows hold.
        engine = create_engine(make_url(url) if url else make_url(f"sqlite:///{home / 'halley.db'}"), hide_parameters=True)
    except ModuleNotFoundError as fault:
        raise StoreError(f"[store] url names a database whose driver is not installed ({fault.name}).") from None
    except SQLAlchemyError:
        # Not its own words: they hold the URL, and the URL may hold a password.
        raise StoreError("[store] url is not a URL of a database that Halley knows, such as postgresql+psycopg://HOST/NAME.") from None
    if engine.dialect.name == "sqlite":
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
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.scalar(text("SELECT version_num FROM alembic_version"))


def _migrate(engine: Engine, path: Path | None, asked: bool) -> None:
    now = revision(engine)
    if now == HEAD:
        return
    if now is not None and now > HEAD:
        raise StoreError(f"The store has schema {now}, which is newer than this version of Halley ({HEAD}); start the newer version.")
    if path is None and now is not None and not asked:
        raise StoreError(f"The store has schema {now}, this version needs {HEAD}: run `halley migrate` while no node is running.")
    if path is not None and now is not None:
        _back_up(path, now)
    crash.here("control.migration.begun")
    upgrade(engine)
    crash.here("control.migration.committed")


def _back_up(path: Path, from_revision: str) -> None:
    copy = path.with_name(f"{path.name}.before-{HEAD}-from-{from_revision}-{int(time.time())}")
    os.close(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    source, target = sqlite3.connect(path), sqlite3.connect(copy)
    with source, target:
        source.backup(target)
    source.close()
    target.close()


def upgrade(engine: Engine) -> None:
    # alembic takes longer to import than a start may take; it is needed only when the schema moves.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        crash.here("control.migration.uncommitted")
