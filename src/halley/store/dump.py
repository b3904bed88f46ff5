"""A backup of the store in use, proven: SQLite's file copied by SQLite, PostgreSQL's database by its own pg_dump.

Of PostgreSQL the ledger is proven and the dump is made in one snapshot, so that what was proven is what is in the file. The password goes
to pg_dump in its environment, never on a command line.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import msgspec
from sqlalchemy import URL, Connection, Engine, text
from sqlalchemy.engine import make_url

from halley.store import backup, drafts, verify
from halley.store.database import aside, fit, reader
from halley.store.state import StoreError

_TOOLS = Path("/usr/lib/postgresql")


class Saved(msgspec.Struct, frozen=True):
    """`path` holds the backup, whose ledger was proven: `found` says how."""

    path: str
    kind: str
    bytes: int
    found: verify.Found


def save(url: str, home: Path, target: Path, environ: Mapping[str, str]) -> Saved:
    """Beside whoever writes. Raises StoreError or NotWritten, and then there is no file."""
    with aside(url, home) as (engine, path, state):
        fit(state)
        with drafts.draft(target) as draft:
            found = _copied(path, draft) if path is not None else _dumped(engine, make_url(url), draft, environ)
            size = draft.stat().st_size
        return Saved(str(target), "sqlite" if path is not None else "postgresql", size, found)


def _copied(source: Path, draft: Path) -> verify.Found:
    backup.copy(source, draft)
    backup.check(draft)
    engine = reader(f"{draft.resolve().as_uri()}?immutable=1")
    with engine.connect() as connection:
        return verify.verify(connection)


def _dumped(engine: Engine, url: URL, draft: Path, environ: Mapping[str, str]) -> verify.Found:
    dump, restore = (_tool(name) for name in ("pg_dump", "pg_restore"))
    with engine.connect().execution_options(reads=True) as connection, connection.begin():
        found = verify.verify(connection)
        _run(
            [dump, "--format=custom", "--no-owner", "--no-privileges", "--no-password", f"--snapshot={_snapshot(connection)}"],
            [f"--file={draft}"],
            {**environ, **variables(url)},
        )
    # Reads all of it and writes it nowhere.
    _run([restore, "--file=/dev/null"], [os.fspath(draft)], environ)
    return found


def _snapshot(connection: Connection) -> str:
    connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
    return str(connection.scalar(text("SELECT pg_export_snapshot()")))


def variables(url: URL) -> dict[str, str]:
    """What PostgreSQL's own programs read: the same database as `[store] url` names."""
    query = {name: value for name, value in url.query.items() if isinstance(value, str)}
    found = {
        "PGHOST": url.host or "localhost",
        "PGPORT": str(url.port or ""),
        "PGUSER": url.username or "",
        "PGPASSWORD": url.password or "",
        "PGDATABASE": url.database or "",
        "PGSSLMODE": query.get("sslmode", ""),
        "PGSSLROOTCERT": query.get("sslrootcert", ""),
    }
    if socket := query.get("unix_sock"):
        # Named after the port, in the directory that libpq wants.
        found |= {"PGHOST": os.path.dirname(socket), "PGPORT": socket.rpartition(".")[2], "PGSSLMODE": ""}
    return {name: value for name, value in found.items() if value}


def _tool(name: str) -> str:
    """The newest, because pg_dump serves older servers and refuses newer ones. Raises StoreError."""
    versions = sorted(
        (each for each in _TOOLS.glob(f"*/bin/{name}") if each.parts[-3].isdigit()), key=lambda path: int(path.parts[-3]), reverse=True
    )
    found = os.fspath(versions[0]) if versions else shutil.which(name)
    if found is None:
        raise StoreError(f"{name} is not on this machine: install PostgreSQL's client (`apt-get install postgresql-client`).")
    return found


def _run(command: list[str], last: list[str], environ: Mapping[str, str]) -> None:
    done = subprocess.run([*command, *last], env=dict(environ), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StoreError(f"{Path(command[0]).name} failed: {done.stderr.strip() or f'exit code {done.returncode}'}")
