"""A supervisor over fake children, in a process of its own, and what a test asks of it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
LIMIT_S = 20.0

_PROGRAM = """
import json, sys
from halley.cli.up import run
from halley.config import Launch, Server, Settings
from halley.errors import HalleyError
from halley.supervise.child import Programs
home, server = sys.argv[1], json.loads(sys.argv[2])
fake = "fake_child"
try:
    sys.exit(run(Launch(Settings(server=Server(**server)), home=home, run=""), Programs(fake, fake, fake)))
except HalleyError as fault:
    sys.exit(str(fault))
"""


class Event(NamedTuple):
    at_ms: int
    name: str
    pid: int
    what: str


class Node:
    def __init__(self, home: Path, process: subprocess.Popen[bytes], log: Path) -> None:
        self.home = home
        self.process = process
        self.log = log

    def events(self, name: str = "", what: str = "") -> list[Event]:
        path = self.home / "events"
        lines = path.read_text().splitlines() if path.exists() else []
        told = [Event(int(at), who, int(pid), event) for at, who, pid, event in (line.split() for line in lines)]
        return [event for event in told if name in ("", event.name) and what in ("", event.what)]

    def status(self) -> dict[str, int | str | dict[str, int]]:
        return json.loads((self.home / "up.json").read_text())

    def children(self) -> dict[str, int]:
        children = self.status()["children"]
        assert isinstance(children, dict)
        return children

    def port(self) -> int:
        return int(str(self.status()["port"]))

    def said(self) -> str:
        return self.log.read_text()

    def until(self, seen: Callable[[], bool]) -> None:
        until(seen, lambda: f"not seen; the supervisor said:\n{self.said()}\n{self.events()}")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self) -> int:
        return self.process.wait(LIMIT_S)

    def answer(self) -> int:
        """The pid of the relay that takes a connection."""
        with socket.create_connection(("127.0.0.1", self.port()), LIMIT_S) as connection:
            return int(connection.makefile("rb").readline())


def until(seen: Callable[[], bool], otherwise: Callable[[], str] = lambda: "not seen in time") -> None:
    limit = time.monotonic() + LIMIT_S
    while not seen():
        assert time.monotonic() < limit, otherwise()
        time.sleep(0.01)


def running(pid: int) -> bool:
    """Whether a process runs; one that has ended and is only not reaped yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def command(home: Path, server: Mapping[str, object]) -> list[str]:
    settings = {"port": 0, "drain_seconds": 10.0, "drain_notice_seconds": 0.1, **server}
    return [sys.executable, "-c", _PROGRAM, str(home), json.dumps(settings)]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests" / "processes")])}


@contextmanager
def node(home: Path, orders: Mapping[str, object] | None = None, *, wait: bool = True, **server: object) -> Iterator[Node]:
    home.mkdir(exist_ok=True)
    (home / "up.lock").touch()  # without it, a home with orders in it is somebody else's directory
    give(home, orders or {})
    log = home / "log"
    with log.open("ab") as output:
        process = subprocess.Popen(command(home, server), stderr=output, env=environment())
    started = Node(home, process, log)
    try:
        if wait:
            started.until(lambda: (home / "up.json").exists() or process.poll() is not None)
            assert process.poll() is None, started.said()
        yield started
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        # The life pipe takes the children along; the test that proves it does not rely on this.
        for pid in {event.pid for event in started.events("", "started")}:
            until(lambda pid=pid: not running(pid))


def give(home: Path, orders: Mapping[str, object]) -> None:
    (home / "orders").write_text(json.dumps(orders))
