"""A PostgreSQL server of the tests' own: a new cluster in a short temporary directory, reached over a Unix socket, gone with its owner.

It forgets nothing when its processes are killed; what the machine would lose in a power cut is not asked here, so nothing is synced.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import pwd
import shutil
import signal
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from halley.store.database import engine_of
from tests.harness import books
from tests.harness.gateway import Gateway
from tests.harness.process import until

OWNER = "postgres"
_PORT = 5432
# A language of its own in the order of texts: what would only hold in the order of bytes is found out.
_INIT = (
    "-A",
    "trust",
    "-U",
    OWNER,
    "-E",
    "UTF8",
    "--locale=C.UTF-8",
    "--locale-provider=icu",
    "--icu-locale=en",
    "--no-sync",
    "--no-instructions",
)
_SETTINGS = (
    "fsync=off",
    "full_page_writes=off",
    "listen_addresses=",
    "shared_buffers=32MB",
    "max_connections=60",
    "log_min_messages=warning",
)
# The tables that the auditor looks into.
_READ = (
    "accounts", "balances", "entries", "journals", "leases", "payments", "pot_leases", "pots", "postings", "prices", "request_pots",
    "requests", "secrets",
)  # fmt: skip
# What psql prints is rows and nothing else, and the first refusal is its last.
_PLAIN = ("-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1")
_LOCK_ALL = (
    "DO $$ DECLARE t record; BEGIN FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP"
    " EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', t.tablename); END LOOP; END $$;"
)
_KEEP = """
DO $$ DECLARE t text; BEGIN
    CREATE SCHEMA kept;
    FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
        EXECUTE format('CREATE TABLE kept.%1$I AS TABLE public.%1$I', t);
    END LOOP;
    CREATE VIEW kept.its_tables AS SELECT tablename FROM pg_tables WHERE schemaname = 'kept' AND tablename <> 'its_sequences';
    CREATE TABLE kept.its_sequences AS SELECT sequencename, start_value, last_value FROM pg_sequences WHERE schemaname = 'public';
END $$;
"""
# Rows reference each other: nothing of that is looked at, because what is put back is whole.
_PUT_BACK = """
CREATE FUNCTION kept.put_back() RETURNS void LANGUAGE plpgsql AS $$ DECLARE t text; BEGIN
    SET LOCAL session_replication_role = replica;
    FOR t IN SELECT tablename FROM kept.its_tables LOOP
        EXECUTE format('DELETE FROM public.%1$I; INSERT INTO public.%1$I OVERRIDING SYSTEM VALUE TABLE kept.%1$I', t);
    END LOOP;
    PERFORM setval(quote_ident(sequencename)::regclass, coalesce(last_value, start_value), last_value IS NOT NULL) FROM kept.its_sequences;
END $$;
"""
# The server ends at once when the pipe to its owner breaks, however the owner has ended.
_KEEPER = '"$@" & read -r nothing; kill -QUIT $! 2>/dev/null; wait $!'


def programs() -> Path | None:
    """The directory of the newest server's programs."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]) if path.parts[-3].isdigit() else 0
    )
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).resolve().parent if on_path else None


class Server:
    """Runs from `start` to `stop`; databases are made with `create`."""

    def __init__(self, place: Path, bin_: Path) -> None:
        self.place = place
        self._bin = bin_
        self._keeper: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count()
        self._user = OWNER if os.geteuid() == 0 else None
        if self._user is not None:
            # The server does not run as root.
            who = pwd.getpwnam(OWNER)
            os.chown(place, who.pw_uid, who.pw_gid)
        self._run(bin_ / "initdb", "-D", str(place / "data"), *_INIT)

    def _run(self, *command: str | Path, **more: object) -> str:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, user=self._user, cwd=self.place)
        assert done.returncode == 0, f"{command[0]} ended with {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    @property
    def pid(self) -> int:
        return int((self.place / "data" / "postmaster.pid").read_text().split()[0])

    def start(self) -> None:
        settings = [word for setting in (*_SETTINGS, f"unix_socket_directories={self.place}") for word in ("-c", setting)]
        with (self.place / "log").open("ab") as log:
            self._keeper = subprocess.Popen(
                ["sh", "-c", _KEEPER, "keeper", self._bin / "postgres", "-D", self.place / "data", "-p", str(_PORT), *settings],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                user=self._user,
                group=pwd.getpwnam(OWNER).pw_gid if self._user else None,
                extra_groups=() if self._user else None,
                cwd=self.place,
            )
        until(self.ready, lambda: f"PostgreSQL did not start: {(self.place / 'log').read_text()[-2000:]}")

    def processes(self) -> list[int]:
        """The server's own process first, then all that serve it."""
        first = self.pid
        return [first, *map(int, Path(f"/proc/{first}/task/{first}/children").read_text().split())]

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Every process of the server is stopped while the block runs: it takes no connection, answers nothing, and hangs nobody up."""
        stopped: set[int] = set()
        # The first one stops before the others are counted, so that there are no new ones.
        while more := [pid for pid in self.processes() if pid not in stopped]:
            _send(more[0], signal.SIGSTOP)
            stopped.add(more[0])
        try:
            yield
        finally:
            for pid in stopped:
                _send(pid, signal.SIGCONT)

    @contextmanager
    def locked(self, database: str) -> Iterator[None]:
        """A transaction of somebody else has every table of the database to itself while the block runs."""
        while True:
            with subprocess.Popen(
                self._psql(database), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, user=self._user, cwd=self.place
            ) as holder:
                assert holder.stdin is not None and holder.stdout is not None
                holder.stdin.write(f"BEGIN;\n{_LOCK_ALL}\nSELECT 'held';\n")
                holder.stdin.flush()
                # Table after table is locked: where the server sees a deadlock in that, it may be this one that is sent away.
                if holder.stdout.readline() == "held\n":
                    yield  # its end of input, when the block is left, is its end, and that of its transaction
                    return

    def ready(self) -> bool:
        asked = [self._bin / "pg_isready", "-q", "-h", self.place, "-p", str(_PORT), "-d", "postgres"]
        return subprocess.run(asked, check=False, user=self._user).returncode == 0

    def stop(self) -> None:
        """At once, as a server dies: without a checkpoint and without a word to whom it serves."""
        if self._keeper is not None:
            assert self._keeper.stdin is not None
            self._keeper.stdin.close()
            self._keeper.wait(30)
            self._keeper = None

    def restart(self) -> None:
        """As `pg_ctl restart -m immediate`."""
        self.stop()
        self.start()

    def sql(self, statement: str, database: str = "postgres") -> str:
        """What psql prints, without head and foot."""
        return self._run(*self._psql(database), "-c", statement)

    def _psql(self, database: str) -> list[str | Path]:
        return [self._bin / "psql", *_PLAIN, "-h", self.place, "-U", OWNER, "-d", database]

    def create(self, template: str = "template0") -> str:
        """A new database; its name."""
        name = f"halley_{next(self._numbers)}"
        self.sql(f'CREATE DATABASE {name} TEMPLATE "{template}"')
        return name

    def restore(self, dump: Path) -> str:
        """A new database with what `pg_dump` has written; its name."""
        name = self.create()
        command = [self._bin / "pg_restore", "--no-owner", "-h", self.place, "-U", OWNER, f"--dbname={name}", dump]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return name

    def drop(self, name: str) -> None:
        self.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def files(self, name: str) -> Path:
        """Where the database's tables are."""
        return self.place / "data" / "base" / self.sql("SELECT oid FROM pg_database WHERE datname = current_database()", name).strip()

    def copy(self, name: str) -> sqlite3.Connection:
        """What the auditor reads."""
        return copied(lambda statements: self.sql(statements, name))

    def hold(self, gateway: Gateway, name: str) -> None:
        """The gateway's store is that database, and its books are read there."""
        gateway.environ["HALLEY_STORE_URL"] = self.url(name)
        books.elsewhere(gateway.home, lambda: self.copy(name))

    def url(self, name: str) -> str:
        """As `[store] url` takes it."""
        return f"postgresql://{OWNER}@/{name}?unix_sock={self.place}/.s.PGSQL.{_PORT}"


class Rows:
    """What the tables of a database and its sequences hold, kept beside them in a schema of its own, to be put back at will."""

    def __init__(self, url: str) -> None:
        self._engine = engine_of(url, Path())
        with self._engine.begin() as connection:
            connection.exec_driver_sql(_KEEP)
            connection.exec_driver_sql(_PUT_BACK)

    def put_back(self) -> None:
        with self._engine.begin() as connection:
            connection.exec_driver_sql("SELECT kept.put_back()")


def copied(ask: Callable[[str], str]) -> sqlite3.Connection:
    """What the auditor reads, of one moment, in memory; bytes come as PostgreSQL writes them. `ask` is psql."""
    reads = "".join(f"SELECT coalesce(jsonb_agg(to_jsonb(t)), '[]') FROM {table} t;" for table in _READ)  # noqa: S608 (a tuple of ours)
    columns = "SELECT jsonb_object_agg(c.t, c.n) FROM (SELECT table_name t, jsonb_agg(column_name) n FROM information_schema.columns"
    columns += " WHERE table_schema = 'public' GROUP BY 1) c;"
    said = ask(f"BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; {columns} {reads} COMMIT").splitlines()
    names: dict[str, list[str]] = json.loads(said[0])
    made = sqlite3.connect(":memory:")
    for table, line in zip(_READ, said[1:], strict=True):
        quoted = ", ".join(f'"{column}"' for column in names[table])
        made.execute(f"CREATE TABLE {table} ({quoted})")
        marks = ", ".join("?" * len(names[table]))
        rows = [[row[column] for column in names[table]] for row in json.loads(line)]
        made.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608 (a tuple of ours)
    return made


def psql(url: str) -> Callable[[str], str]:
    """Asks the database that `[store] url` names, with the psql of this machine, which spells some things of it differently."""
    place = urlsplit(url)
    asked = dict(parse_qsl(place.query))
    socket = Path(asked.pop("unix_sock", ""))
    host = str(socket.parent) if socket.name else place.hostname or "localhost"
    port = socket.name.rpartition(".")[2] if socket.name else str(place.port or _PORT)
    given = {"host": host, "port": port, "dbname": place.path.lstrip("/"), "user": unquote(place.username or ""), **asked}
    words = " ".join("{}='{}'".format(name, value.replace("\\", "\\\\").replace("'", "\\'")) for name, value in given.items() if value)
    environ = {**os.environ, "PGPASSWORD": unquote(place.password or "")}

    def ask(statements: str) -> str:
        done = subprocess.run(["psql", *_PLAIN, "-d", words, "-c", statements], capture_output=True, text=True, env=environ, check=False)
        if done.returncode:
            raise AssertionError(f"psql does not read the store: {done.stderr.strip()}")
        return done.stdout

    return ask


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
        os.kill(pid, number)


def stored(gateway: Gateway, server: Server | None) -> Gateway:
    """The gateway, not started yet, with its store in a new database of the server, where there is one."""
    if server is not None:
        server.hold(gateway, server.create())
    return gateway


class NoServer(Exception):
    """There is no program of a PostgreSQL server on this machine; the message names the package."""


@contextmanager
def running() -> Iterator[Server]:
    """A server that runs while the block does. Raises NoServer."""
    bin_ = programs()
    if bin_ is None:
        raise NoServer("there is no PostgreSQL server here: apt-get install postgresql")
    place = Path(tempfile.mkdtemp(prefix="halley-pg-"))
    server: Server | None = None
    try:
        server = Server(place, bin_)
        server.start()
        yield server
    finally:
        if server is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.stop()
        shutil.rmtree(place, ignore_errors=True)
