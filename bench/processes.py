"""Processes seen from outside: pinned start, CPU time, memory, descendants, and an end that ends. Linux only; reads /proc."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class NotReady(Exception):
    """A program did not start to serve in time, or ended while it should have served."""


def pinned(core: int, command: Sequence[str | Path]) -> list[str]:
    return ["taskset", "-c", str(core), *map(str, command)]


def cpu_s(pid: int) -> float:
    """User and system seconds of a process with all its threads, ended children left out."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def memory_mb(pid: int) -> float:
    """Proportional set size: shared pages are divided among those who share them, so that a process tree adds up."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def descendants(pid: int) -> list[int]:
    """The process and everything below it, parents first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for one in found:
        found.extend(children.get(one, ()))
    return found


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now. Another program may still come first; the start that follows then says so."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Program:
    """A started program in its own session, with its output in a file, and the process tree below it."""

    __slots__ = ("_process", "log")

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None, cwd: Path | None = None) -> None:
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=None if environment is None else dict(environment),
                cwd=cwd,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until(self, served: Callable[[], bool], within_s: float) -> float:
        """Polls until it serves; returns the seconds since the call. Raises NotReady with the end of its output."""
        begin = time.monotonic()
        while not served():
            if self._process.poll() is not None or time.monotonic() - begin > within_s:
                raise NotReady(f"did not start; its output ends:\n{self.tail()}")
            time.sleep(0.005)
        return time.monotonic() - begin

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-1500:]

    def stop(self) -> None:
        """Asks it to end, then ends what is left of its tree."""
        tree = descendants(self.pid)
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(15)
        for pid in tree:
            if pid != self.pid or self._process.poll() is None:
                _kill_if_ours(pid, self.pid)
        self._process.wait(5)


def _kill_if_ours(pid: int, session: int) -> None:
    """Kills only within the session that was started here: a process id may have been given to a stranger meanwhile."""
    with contextlib.suppress(OSError):
        if os.getsid(pid) == session:
            os.kill(pid, signal.SIGKILL)
