"""What is particular to PostgreSQL: how it is connected to, how transactions begin, and what its refusals mean.

Control processes of several nodes write one database, one transaction at a time: a transaction that may write takes a lock of the database
first, as `BEGIN IMMEDIATE` does in SQLite. So what it reads is true until it commits, whoever else writes, and no two can wait for each
other. Those that only read see one moment and wait for nobody.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from sqlalchemy import URL, Connection, Dialect, Engine, create_engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

DRIVER: Final = "postgresql+pg8000"
# How long a transaction that says nothing may keep the lock from the others, milliseconds: its process is frozen, or its machine gone.
IDLE_MS: Final = 60_000
CONNECT_S: Final = 10.0
# A connection without an answer is given up after about half a minute: a machine that is gone says nothing.
_KEEPALIVE: Final = (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4), ("TCP_USER_TIMEOUT", 30_000))
_PORT: Final = 5432

# The key of the lock is a number that nobody else takes by chance: "halley" in ASCII.
_BEGIN_WRITE: Final = (
    "SELECT pg_advisory_xact_lock(114784820393337), set_config('idle_in_transaction_session_timeout', '60000', true),"
    " set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'"
    " ELSE current_setting('synchronous_commit') END, true)"
)
_BEGIN_READ: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"

# The class of a state (its first two characters) to what SQLAlchemy should call it; the driver calls most of them programming errors.
_CLASSES: Final[dict[str, type[DBAPIError]]] = {
    "08": OperationalError,  # the connection
    "22": DataError,
    "23": IntegrityError,
    "25": OperationalError,  # the state of the transaction: an idle one was ended
    "40": OperationalError,  # rolled back for another's sake
    "53": OperationalError,  # no room, no connections left
    "55": OperationalError,
    "57": OperationalError,  # shut down, or starting
    "58": OperationalError,  # its disk
}


class BadUrl(ValueError):
    """The URL asks for something that cannot be; the message holds nothing of the URL but names of its parameters."""


class ServerError(Exception):
    """What the server said, without what the rows hold. `sqlstate` alone may stand in a log."""

    def __init__(self, words: str, sqlstate: str) -> None:
        super().__init__(f"{words} ({sqlstate})")
        self.sqlstate = sqlstate


def engine(url: URL) -> Engine:
    """An engine whose transactions begin as this module says. Raises BadUrl, and what SQLAlchemy raises for a URL that is none.

    Of the query `sslmode` (disable, prefer, require, verify-full), `sslrootcert` and `unix_sock` (the path of a socket) are known.
    """
    if url.drivername not in ("postgresql", "postgres", DRIVER):
        raise BadUrl(f"another driver than {DRIVER}")
    query = {name: value for name, value in url.query.items() if isinstance(value, str)}
    unix, mode, root = (query.pop(name, None) for name in ("unix_sock", "sslmode", "sslrootcert"))
    if len(query) + sum(each is not None for each in (unix, mode, root)) < len(url.query):
        raise BadUrl("a parameter that stands there twice")
    if query:
        raise BadUrl(f"unknown parameters ({', '.join(sorted(query))}); known are sslmode, sslrootcert and unix_sock")
    place = unix or (url.host or "localhost", url.port or _PORT)
    made = create_engine(
        url.set(drivername=DRIVER, query={}),
        # No parameters in its exceptions: they are what the rows hold.
        hide_parameters=True,
        # A connection that a restart of the server has cut is replaced before anything is asked on it.
        pool_pre_ping=True,
        connect_args={"ssl_context": _context("disable" if unix else mode or "prefer", root), "application_name": "halley"},
    )

    driver: Any = made.dialect.loaded_dbapi
    opened = _careful(driver)

    def dial(dialect: Dialect, record: ConnectionPoolEntry, cargs: Sequence[Any], cparams: dict[str, Any]) -> DBAPIConnection:
        # As the driver's `connect`, which cannot be handed a socket.
        try:
            return opened(*cargs, **cparams, sock=_dialled(place))
        except OSError as fault:
            raise driver.OperationalError(f"no connection ({fault.strerror or fault})") from None

    # Of a connection that is lost the store says so; the pool would add a traceback for each that it throws away.
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
    event.listen(made, "do_connect", dial)
    event.listen(made, "begin", _begin)
    event.listen(made, "handle_error", _translate, retval=True)
    return made


def _careful(driver: Any) -> Callable[..., DBAPIConnection]:
    """The driver's connection, which has an error of its own for each way to be lost but one: reset while it waits for an answer."""

    class Careful(driver.Connection):
        def handle_messages(self, context: object) -> None:
            try:
                driver.Connection.handle_messages(self, context)
            except OSError as fault:
                raise driver.InterfaceError("network error") from fault

    return Careful


def _context(mode: str, root: str | None) -> ssl.SSLContext | bool | None:
    """What the driver takes for TLS: a context, False for none, None for TLS if the server has it. Raises BadUrl."""
    match mode:
        case "disable":
            return False
        case "prefer":
            return None
        case "require":
            context = ssl.create_default_context(cafile=root)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            return context
        case "verify-full":
            return ssl.create_default_context(cafile=root)
        case _:
            raise BadUrl("an unknown sslmode; it is one of disable, prefer, require and verify-full")


def _dialled(place: str | tuple[str, int]) -> socket.socket:
    """A connection of which it is noticed when its other end is gone without a word."""
    if isinstance(place, str):
        made = socket.socket(socket.AF_UNIX)
        made.connect(place)
        return made
    made = socket.create_connection(place, CONNECT_S)
    made.settimeout(None)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(_BEGIN_READ if connection.get_execution_options().get("reads") else _BEGIN_WRITE)


def words(fault: Exception) -> str:
    """What the server said, without the detail."""
    told: Any = fault.args[0] if fault.args else None
    return cast("dict[str, str]", told).get("M", "") if isinstance(told, dict) else fault.__class__.__name__


def _translate(context: ExceptionContext) -> DBAPIError | None:
    """The driver's error as what it is."""
    fault = context.original_exception
    told: Any = fault.args[0] if fault.args else None
    if not isinstance(told, dict):
        return None
    fields = cast("dict[str, str]", told)
    state, words = fields.get("C", ""), fields.get("M", "")
    kind = _CLASSES.get(state[:2])
    if kind is None:
        return None
    if state[:2] in ("08", "57", "25"):
        context.is_disconnect = True
    # Not the detail: it is what the rows hold.
    return kind(context.statement, None, ServerError(words, state), hide_parameters=True)
