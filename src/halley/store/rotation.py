"""A new master key for a store in use: the wrappings change, what they wrap does not, so nothing is hashed again and nobody notices.

The order of work is the whole of it. The next key is on disk before anything is wrapped under it; one transaction wraps everything anew;
then the old wrappings are wiped from the database file, its log and the backups beside it; only then does the next key take the old one's
place. After a crash at any point the store opens with one of the two keys, and `finish` does the rest.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import cast

from sqlalchemy import Engine, select, update

from halley import crash, logs
from halley.errors import HalleyError
from halley.secret import SecretBytes
from halley.store import schema
from halley.store.masterkey import File, Variable
from halley.store.vault import Vault, VaultError

_log = logs.get("halley.store")


class Unwiped(HalleyError):
    """The new key is in force, but somebody reads the database, so that the old wrappings are still in its log."""


def begin(engine: Engine, place: File | Variable, vault: Vault) -> tuple[Vault, int]:
    """The next key, and how many secrets are under it now. Raises VaultError before anything has changed; `finish` must follow."""
    fresh = place.draft()
    if fresh.fits("probe", vault.wrap("probe", SecretBytes(b""))):
        raise VaultError(f"{fresh.where} holds the key that is in force already; nothing was changed.")
    crash.here("control.rotation.drafted")
    with engine.begin() as connection:
        rows = connection.execute(select(schema.secrets)).all()
        for row in rows:
            wrapped = fresh.wrap(row.name, vault.unwrap(row.name, row.wrapped))
            connection.execute(update(schema.secrets).where(schema.secrets.c.name == row.name).values(wrapped=wrapped))
        crash.here("control.rotation.uncommitted")
    crash.here("control.rotation.committed")
    return fresh, len(rows)


def finish(engine: Engine, path: Path | None, place: File | Variable, former: Vault, fresh: Vault) -> int:
    """Everything after the transaction; may be repeated. `path` is SQLite's file, None for another database. Returns how many backups were
    wrapped anew. Raises Unwiped."""
    backups = 0
    if path is not None:
        with closing(engine.raw_connection()) as connection:
            _wipe(cast("sqlite3.Connection", connection.driver_connection))
        backups = sum(_rewrap_backup(backup, former, fresh) for backup in sorted(path.parent.glob(f"{path.name}.before-*[0-9]")))
    crash.here("control.rotation.wiped")
    place.promote()
    crash.here("control.rotation.promoted")
    return backups


def _wipe(connection: sqlite3.Connection) -> None:
    """Moves the log into the database file, where every connection's `secure_delete` has written zeros over what was replaced."""
    connection.execute("PRAGMA busy_timeout = 1000").close()  # relays wait for credit no longer than two seconds
    try:
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.execute("PRAGMA busy_timeout = 5000").close()
    if busy:
        raise Unwiped(
            "The new master key is in force, but another program reads the database, so that the old wrappings cannot be wiped yet. "
            "Let it end (a backup?) and run the command again, or restart the gateway."
        )


def _rewrap_backup(path: Path, former: Vault, fresh: Vault) -> bool:
    """A backup is under the key of its time, which nobody will have when it is needed. Whether there was anything to do."""
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA secure_delete = ON").close()
            connection.execute("PRAGMA journal_mode = WAL").close()
            rows: Mapping[str, bytes] = dict(connection.execute("SELECT name, wrapped FROM secrets").fetchall())
            stale = [(name, wrapped) for name, wrapped in rows.items() if not fresh.fits(name, wrapped)]
            if stale:
                connection.execute("BEGIN IMMEDIATE")
                for name, wrapped in stale:
                    anew = fresh.wrap(name, former.unwrap(name, wrapped))
                    connection.execute("UPDATE secrets SET wrapped = ? WHERE name = ?", (anew, name))
                connection.execute("COMMIT")
                crash.here("control.rotation.backup")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
            return bool(stale)
    except (sqlite3.Error, VaultError) as fault:
        _log.warning("a backup stays under the master key that it was made with", file=path.name, fault=fault)
        return False
