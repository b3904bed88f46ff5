"""Under a service manager: it binds the socket, passes it on, is told of every change, and keeps the socket for the next node."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness.http import ask
from tests.harness.process import HALLEY
from tests.harness.process import environment as gateway_environment
from tests.processes.node import LIMIT_S, command, environment, until

# What a service manager does: its sockets become descriptors 3 and on, and LISTEN_PID the process that is to serve on one of them.
_PASSING = """
import os, sys
count, names, *rest = sys.argv[1:]
passed = [os.dup(int(each)) for each in rest[: int(count)]]
for place, each in enumerate([os.dup2(each, 100 + place) for place, each in enumerate(passed)]):
    os.dup2(each, 3 + place)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=count, LISTEN_FDNAMES=names)
os.execv(rest[int(count)], rest[int(count) :])
"""


@contextmanager
def activated(words: list[str], *passed: socket.socket, environ: Mapping[str, str], names: str = "") -> Iterator[subprocess.Popen[bytes]]:
    descriptors = [str(each.fileno()) for each in passed]
    process = subprocess.Popen(
        [sys.executable, "-c", _PASSING, str(len(passed)), names, *descriptors, *words],
        pass_fds=[each.fileno() for each in passed],
        env=dict(environ),
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def serving(home: Path, process: subprocess.Popen[bytes]) -> dict[str, object]:
    until(lambda: (home / "up.json").exists() or process.poll() is not None)
    assert process.poll() is None
    return json.loads((home / "up.json").read_text())


def end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    assert process.wait(LIMIT_S) == 0


def pid_from(address: tuple[str, int]) -> int:
    with socket.create_connection(address, LIMIT_S) as connection:
        return int(connection.makefile("rb").readline())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    place = tmp_path / "home"
    place.mkdir()
    (place / "up.lock").touch()
    return place


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_passed_socket_is_served_and_the_manager_told_of_every_change(home: Path, tmp_path: Path, host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with (
        socket.create_server((host, 0), family=family) as passed,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
    ):
        # An abstract address and one that is a file are both usual.
        address = str(tmp_path / "notify") if family == socket.AF_INET else f"\0halley-{os.getpid()}"
        manager.bind(address)
        manager.settimeout(LIMIT_S)

        def told() -> dict[str, str]:
            return dict(line.split("=", 1) for line in manager.recv(4096).decode().splitlines())

        environ = {**environment(), "NOTIFY_SOCKET": address.replace("\0", "@")}
        with activated(command(home, {"port": 1}), passed, environ=environ) as process:
            assert told()["READY"] == "1"
            status = serving(home, process)
            assert (status["pid"], status["port"]) == (process.pid, passed.getsockname()[1])
            before = pid_from(passed.getsockname()[:2])
            process.send_signal(signal.SIGHUP)
            reloading = told()
            assert reloading["RELOADING"] == "1" and int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
            assert told() == {"READY": "1"}
            # The relay of before has been told to go, and takes who comes until it has read that.
            until(lambda: pid_from(passed.getsockname()[:2]) != before)
            process.send_signal(signal.SIGTERM)
            assert told() == {"STOPPING": "1"}
            assert process.wait(LIMIT_S) == 0


def test_of_several_sockets_the_one_called_http_is_served(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, socket.create_server(("127.0.0.1", 0)) as ours:
        with activated(command(home, {}), other, ours, environ=environment(), names="admin:http") as process:
            assert serving(home, process)["port"] == ours.getsockname()[1]
            end(process)
        with activated(command(home, {}), other, ours, environ=environment(), names="one:two") as process:
            assert process.wait(LIMIT_S) == 1
            assert process.stderr is not None and b"FileDescriptorName=http" in process.stderr.read()


def test_a_socket_that_does_not_listen_is_refused_with_what_the_unit_needs(home: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wrong:
        wrong.bind(("127.0.0.1", 0))
        with activated(command(home, {}), wrong, environ=environment()) as process:
            assert process.wait(LIMIT_S) == 1
            assert process.stderr is not None and b"needs ListenStream=" in process.stderr.read()


def test_a_node_that_is_replaced_on_its_socket_refuses_and_fails_nobody(home: Path, tmp_path: Path) -> None:
    """The whole gateway, ended and started again under requests; whoever comes in between waits in the socket's queue."""
    environ = gateway_environment(home)
    words = [*HALLEY, "up"]
    outcomes: list[object] = []
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0), backlog=512) as passed:
        url = f"http://127.0.0.1:{passed.getsockname()[1]}"

        def call() -> None:
            while not over.is_set():
                try:
                    outcomes.append(ask(url, "POST", "/v1/chat/completions", _BODY, key=(home / "starter-key").read_text().strip())[0])
                except (OSError, EOFError) as fault:
                    outcomes.append(repr(fault))
                time.sleep(0.005)

        calling = [threading.Thread(target=call) for _ in range(4)]
        for turn in range(2):
            with activated(words, passed, environ=environ) as process:
                serving(home, process)
                if turn == 0:
                    for each in calling:
                        each.start()
                enough = len(outcomes) + 20
                until(lambda enough=enough: len(outcomes) >= enough)
                if turn == 1:
                    over.set()
                    for each in calling:
                        each.join(LIMIT_S)
                end(process)
    assert set(outcomes) == {200}, outcomes


_BODY = {"model": "local/docs-assistant", "messages": [{"role": "user", "content": "How do I create a key?"}]}


def test_a_unix_socket_is_served(home: Path, tmp_path: Path) -> None:
    place = tmp_path / "http.sock"
    with socket.socket(socket.AF_UNIX) as passed:
        passed.bind(os.fspath(place))
        passed.listen()
        with activated([*HALLEY, "up"], passed, environ=gateway_environment(home)) as process:
            assert serving(home, process)["url"] == f"unix:{place}"
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(os.fspath(place))
                client.sendall(b"GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                assert client.makefile("rb").read().startswith(b"HTTP/1.1 200 ")
            end(process)


def test_the_activator_of_systemd_starts_it_with_the_first_connection(home: Path) -> None:
    activator = shutil.which("systemd-socket-activate")
    if activator is None:
        assert os.environ.get("CI") != "true", "install the package systemd"
        pytest.skip("systemd-socket-activate is not installed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [activator, "-l", f"127.0.0.1:{port}", "--fdname=http"]
    kept = {name: value for name, value in gateway_environment(home).items() if name in ("PYTHONPATH", "HALLEY_HOME", "HOME", "PATH")}
    words += [word for name, value in kept.items() for word in ("-E", f"{name}={value}")]
    process = subprocess.Popen([*words, *HALLEY, "up"], stderr=subprocess.DEVNULL)
    try:
        statuses: list[int] = []

        def asked() -> bool:
            try:
                statuses.append(ask(f"http://127.0.0.1:{port}", "GET", "/readyz")[0])
            except ConnectionRefusedError:
                return False
            return True

        until(asked)
        # The connection that started it has waited and is answered.
        assert statuses == [200]
        end(process)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
