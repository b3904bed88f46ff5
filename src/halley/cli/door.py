"""How the admin commands reach the store: through the running control process of the same HALLEY_HOME, else by opening it themselves.

Nothing of the server is imported before it is needed: a command that finds a running control loads neither the database nor the catalogue.
"""

from __future__ import annotations

import http.client
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from halley import config
from halley.config import ConfigError, Launch
from halley.errors import HalleyError
from halley.supervise.doors import home_directory, node_runs

if TYPE_CHECKING:
    from halley.control.plan import Plan

A = TypeVar("A", bound=msgspec.Struct)

_WAIT_S = 60.0
_RESTART_S = 10.0


class Refusal(HalleyError):
    """The running gateway did not do it; the message says why, in its own words."""


class _Socket(http.client.HTTPConnection):
    """HTTP over the admin socket."""

    def __init__(self, path: Path, wait_s: float) -> None:
        super().__init__("admin", timeout=wait_s)
        self._path = path
        self._wait_s = wait_s

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self._wait_s)
        self.sock.connect(os.fspath(self._path))


class _Error(msgspec.Struct):
    error: str


def ask(
    operation: str, question: msgspec.Struct, answer: type[A], flags: Mapping[str, object] | None = None, *, wait_s: float = _WAIT_S
) -> A:
    """The operation's answer, within `wait_s` seconds. `flags` are settings for the store, when there is no gateway that has its own.

    Raises HalleyError: a refusal of the gateway, or of the store when control is down."""
    home = config.home(os.environ)
    path = config.run_directory(home) / "admin.sock"
    connection = _Socket(path, wait_s)
    if not _open(connection, path, home):
        return _by_ourselves(home, operation, question, answer, flags)
    try:
        connection.request("POST", f"/{operation}", msgspec.json.encode(question))
        reply = connection.getresponse()
        body = reply.read()
    except (OSError, http.client.HTTPException) as fault:
        raise Refusal(f"The running gateway did not answer ({fault.__class__.__name__}); whether it acted is not known.") from None
    finally:
        connection.close()
    if reply.status != 200:
        try:
            raise Refusal(msgspec.json.decode(body, type=_Error).error)
        except msgspec.DecodeError:
            raise Refusal("The running gateway failed at it; its log says where.") from None
    return msgspec.json.decode(body, type=answer)


def _open(connection: _Socket, path: Path, home: Path) -> bool:
    """Whether control is there; while its node runs, it gets the time that a restart takes."""
    patience = time.monotonic() + _RESTART_S
    while True:
        try:
            connection.connect()
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
            connection.close()
            if time.monotonic() > patience or not node_runs(home):
                return False
            time.sleep(0.05)
        except PermissionError:
            raise Refusal(f"{path} belongs to another user; run this command as the user who runs the gateway.") from None
        else:
            return True


def plan(flags: Mapping[str, object] | None = None) -> Plan:
    """What control would be started with here: the configuration as `halley up` would find it."""
    from halley.cli.settings import read, unmet
    from halley.control.__main__ import plan_of

    home = config.home(os.environ)
    settings = read(None, flags)
    try:
        return plan_of(Launch(settings, os.fspath(home), os.fspath(config.run_directory(home))), os.environ)
    except ConfigError:
        raise ConfigError(unmet(settings)) from None  # the same, with file and line


def _by_ourselves(home: Path, operation: str, question: Any, answer: type[A], flags: Mapping[str, object] | None) -> A:
    from halley.control.desk import Desk
    from halley.control.office import OPERATIONS

    home_directory(home)
    desk = Desk(plan(flags), os.environ)
    try:
        desk.look_in()
        found = OPERATIONS[operation].run(desk, question)
        if OPERATIONS[operation].changes:
            desk.announced()
    finally:
        desk.close()
    if not isinstance(found, answer):
        raise TypeError(f"{operation} answers {type(found).__name__}")
    return found
