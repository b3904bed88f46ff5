"""Every SQL text that the processes of a gateway give to their database: noted by a stand-in for the driver's cursor (SQLite), or read from
the server's own log (PostgreSQL).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

from tests.harness.gateway import Gateway
from tests.harness.postgres import Server

Seen = Callable[[], Counter[str]]
"""How often each text was given up to now."""

# Imported by every Python process that finds it on its path, before anything else.
_STAND_IN = """
import os, sqlite3
from sqlite3 import dbapi2

_connect = dbapi2.connect
_file = os.open(os.environ["HALLEY_TEST_STATEMENTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def _noted(name):
    method = getattr(dbapi2.Cursor, name)

    def call(self, sql, *more):
        os.write(_file, (" ".join(sql.split()) + "\\n").encode("utf-8", "backslashreplace"))
        return method(self, sql, *more)

    return call


class Cursor(dbapi2.Cursor):
    execute, executemany, executescript = map(_noted, ("execute", "executemany", "executescript"))


class Connection(dbapi2.Connection):
    def cursor(self, factory=Cursor):
        return super().cursor(factory)


def connect(*given, **named):
    return _connect(*given, **{"factory": Connection, **named})


dbapi2.connect = sqlite3.connect = connect
"""
_LOGGED = re.compile(r"LOG:  (?:statement|execute [^:]*|parse [^:]*): (.*(?:\n\t.*)*)")


def watch(gateway: Gateway, server: Server | None, database: str) -> Seen:
    """Begins before the gateway is started."""
    if server is not None:
        server.sql(f"ALTER DATABASE {database} SET log_statement = 'all'")
        log = server.place / "log"
        return lambda: Counter(" ".join(text.split()) for text in _LOGGED.findall(log.read_text(errors="backslashreplace")))
    place = gateway.place / "stand-in"
    place.mkdir()
    (place / "sitecustomize.py").write_text(_STAND_IN)
    noted = place / "statements"
    gateway.environ |= {"PYTHONPATH": f"{place}:{gateway.environ['PYTHONPATH']}", "HALLEY_TEST_STATEMENTS": str(noted)}
    return lambda: Counter(noted.read_text().splitlines())
