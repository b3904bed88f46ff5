"""What a node holds: its lock on a home, and the listening socket at its end."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import threading
import time
from pathlib import Path

import pytest

from halley.cli.door import ask
from halley.config import run_directory
from halley.control.asks import Verified, Verify
from halley.supervise.doors import bind, lock_home, node_runs, shut


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_shut_socket_keeps_who_has_come_takes_nobody_new_and_refuses_them_once_it_is_closed(host: str) -> None:
    listening = bind(host, 0)
    place = listening.getsockname()[:2]
    came = socket.create_connection(place, timeout=20)
    shut(listening)
    late = socket.socket(listening.family)
    late.setblocking(False)
    with came, late:
        with contextlib.suppress(BlockingIOError):
            late.connect(place)
        taken, _ = listening.accept()
        with taken:
            came.sendall(b"in")
            taken.settimeout(20)
            assert taken.recv(2) == b"in"
            listening.setblocking(False)
            with pytest.raises(BlockingIOError):
                listening.accept()
            listening.close()
            select.select([], [late], [], 20)
            assert late.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
            taken.sendall(b"out")
            came.settimeout(20)
            assert came.recv(3) == b"out"


def test_a_node_runs_while_its_lock_is_held_whoever_has_the_number_of_a_dead_one(tmp_path: Path) -> None:
    assert not node_runs(tmp_path)
    lock = lock_home(tmp_path)
    assert node_runs(tmp_path)
    os.close(lock)
    assert (tmp_path / "up.lock").read_text() == f"{os.getpid()}\n" and not node_runs(tmp_path)


def test_who_asks_whether_a_node_runs_keeps_none_from_starting(tmp_path: Path) -> None:
    asking = threading.Event()

    def ask_on() -> None:
        while not asking.is_set():
            node_runs(tmp_path)

    (tmp_path / "up.lock").write_text(f"{os.getpid()}\n")
    threads = [threading.Thread(target=ask_on) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            os.close(lock_home(tmp_path))
    finally:
        asking.set()
        for thread in threads:
            thread.join()


def test_a_command_waits_for_no_restart_of_a_node_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALLEY_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    os.close(lock_home(tmp_path))
    run_directory(tmp_path).mkdir(parents=True, mode=0o700)
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(run_directory(tmp_path) / "admin.sock"))
    began = time.monotonic()
    assert ask("ledger.verify", Verify(None), Verified).clean
    assert time.monotonic() - began < 5.0
