"""Copies of an SQLite store while it is in use: one moment of it, in a file that appears whole and proven or not at all.

A copy is drafted in a directory of its own beside its place, which nobody else can enter, and gets its name when it is on disk. A name that
is taken is never overwritten.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from halley.store.state import StoreError


@contextmanager
def draft(target: Path) -> Generator[Path]:
    """A path to write the copy to, mode 0600; it becomes `target` when the block ends without an exception. Raises StoreError."""
    try:
        if os.path.lexists(target):
            raise StoreError(f"{target} is there already, and nothing is overwritten; name a file that is not.")
        with tempfile.TemporaryDirectory(prefix=".backup-", dir=target.parent) as directory:
            path = Path(directory) / "draft"
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            yield path
            _settle(path, target)
    except OSError as fault:
        if isinstance(fault, FileExistsError):
            raise StoreError(f"{target} is there already, and nothing is overwritten; name a file that is not.") from None
        raise StoreError(f"{target} cannot be written: {fault.strerror or fault}") from None


def _settle(path: Path, target: Path) -> None:
    _sync(path, os.O_RDONLY)
    try:
        os.link(path, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if os.path.lexists(target):
            raise FileExistsError from None
        path.rename(target)
    _sync(target.parent, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def copy(source: Path, path: Path) -> None:
    """One moment of the database in `source`, whoever writes it meanwhile, in a file that needs no log beside it. Raises StoreError."""
    try:
        with closing(sqlite3.connect(source)) as reading, closing(sqlite3.connect(path, isolation_level=None)) as writing:
            # In one step: in several, each write of another process would begin it anew.
            reading.execute("PRAGMA busy_timeout = 5000").close()
            reading.backup(writing)
            writing.execute("PRAGMA journal_mode = DELETE").close()
    except sqlite3.Error as fault:
        raise StoreError(f"The store cannot be copied: {fault}") from None


def check(path: Path) -> None:
    """Raises StoreError for a copy that SQLite finds damaged."""
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?immutable=1", uri=True)) as connection:
        try:
            said = [row[0] for row in connection.execute("PRAGMA integrity_check(10)")]
            strays = connection.execute("PRAGMA foreign_key_check").fetchmany(10)
        except sqlite3.Error as fault:
            raise StoreError(f"The copy is damaged, and was thrown away: {fault}") from None
    if said != ["ok"]:
        raise StoreError(f"The copy is damaged, and was thrown away: {'; '.join(said)}")
    if strays:
        raise StoreError(f"The copy has rows without the ones that they name ({strays[0][0]}), and was thrown away.")
