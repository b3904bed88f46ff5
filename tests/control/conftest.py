"""A real control process on real sockets, and the parts of a relay that it sees."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import make_url

from halley.config import Launch, Settings
from halley.config import Store as StoreSettings
from halley.store import postgres as engines
from halley.store import steps
from halley.store.messages import FromControl, FromRelay, Hello, LeaseState, frame, unpack_from_control
from tests.harness import commands
from tests.harness.postgres import Server

SRC = Path(__file__).parents[2] / "src"
WAIT_S = 20.0


class ControlProcess:
    def __init__(self, home: Path, settings: Settings, run: Path) -> None:
        self.home, self.run, self.url = home, run, settings.store.url
        self.environ = {**os.environ, "PYTHONPATH": str(SRC), "HALLEY_HOME": str(home), "HALLEY_DETECT": "0"}
        if self.url:
            self.environ["HALLEY_STORE_URL"] = self.url
        ready, told = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "halley.control", "--channel-fd", str(told)],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[told],
            env=self.environ,
        )
        os.close(told)
        assert self.process.stdin is not None
        self.process.stdin.write(Launch(settings, str(home), str(run), "http://127.0.0.1:1/v1").pack())
        self.process.stdin.close()
        self.ready = os.read(ready, 16) == b"ready\n"
        os.close(ready)

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(WAIT_S)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(WAIT_S)

    def errors(self) -> str:
        assert self.process.stderr is not None
        self.process.wait(WAIT_S)
        return self.process.stderr.read().decode()

    def http(self, name: str, method: str, path: str, body: bytes | None = None, **fields: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("halley", timeout=WAIT_S)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(WAIT_S)
        connection.sock.connect(str(self.run / name))
        connection.request(method, path, body, {key.replace("_", "-"): value for key, value in fields.items()})
        reply = connection.getresponse()
        found = reply.status, {key.lower(): value for key, value in reply.getheaders()}, reply.read()
        connection.close()
        return found

    def admin(self, operation: str, body: str = "{}") -> dict:
        status, _, answer = self.http("admin.sock", "POST", f"/{operation}", body.encode())
        assert status == 200, answer
        return msgspec.json.decode(answer)

    def until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAIT_S
        while not true():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.01)

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return commands.run(arguments, self.environ, Path.cwd(), 60.0)


class Relay:
    """A relay's end of the link."""

    def __init__(self, control: ControlProcess, name: str, *leases: LeaseState) -> None:
        self.name = name
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(WAIT_S)
        self._socket.connect(str(control.run / "link.sock"))
        self.send(Hello(name, os.getpid(), str(control.home / "journal" / name), leases))

    def send(self, message: FromRelay) -> None:
        self._socket.sendall(frame(message))

    def next(self, kind: type[FromControl]) -> FromControl:
        while True:
            size = int.from_bytes(self._socket.recv(4, socket.MSG_WAITALL), "big")
            message = unpack_from_control(self._socket.recv(size, socket.MSG_WAITALL))
            if type(message) is kind:
                return message

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory whose path fits a Unix socket."""
    with tempfile.TemporaryDirectory(prefix="halley-") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def template(postgres: Server) -> str:
    """A database with the schema and nothing in it, to be copied."""
    name = postgres.create()
    engine = engines.engine(make_url(postgres.url(name)))
    with engine.begin() as connection:
        steps.upgrade(connection)
    engine.dispose()
    return name


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    """Where stores are: SQLite, unless the test asks for the other."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return ""
    server: Server = request.getfixturevalue("postgres")
    return server.url(server.create(request.getfixturevalue("template")))


@pytest.fixture
def start(short: Path, url: str) -> Iterator[Callable[..., ControlProcess]]:
    with ExitStack() as stack:

        def begin(settings: Settings | None = None) -> ControlProcess:
            control = ControlProcess(short, msgspec.structs.replace(settings or Settings(), store=StoreSettings(url)), short / "run")

            def end() -> None:
                if control.process.poll() is None:
                    control.kill()
                assert control.process.stderr is not None
                control.process.stderr.close()

            stack.callback(end)
            return control

        yield begin


@pytest.fixture
def relay() -> Iterator[Callable[..., Relay]]:
    with ExitStack() as stack:

        def begin(control: ControlProcess, name: str, *leases: LeaseState) -> Relay:
            made = Relay(control, name, *leases)
            stack.callback(made.close)
            return made

        yield begin
