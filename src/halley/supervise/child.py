"""One child process and the post that it mans. Knows how to start, signal and reap; decides nothing about when.

A `Post` is a place that must be manned (`control`, `relay-0`); a `Child` is one process in it. Processes come and go, the post stays.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import IO, Literal

import msgspec

from halley.config import Launch
from halley.supervise.handover import Kept

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
# Who lived this long has not died of what killed it at start.
SETTLED_S = 30.0
# glibc gives freed memory back above 128 KiB, and every answer of some length would take its pages anew: 15 % of a stream's CPU. Bytes.
_ALLOCATOR = {"MALLOC_TRIM_THRESHOLD_": str(8 << 20), "MALLOC_MMAP_THRESHOLD_": str(256 << 10)}


class Program(msgspec.Struct, frozen=True):
    """What a child runs: a module, its arguments, and the listening socket that it inherits (-1: none)."""

    module: str
    arguments: tuple[str, ...] = ()
    listen_fd: int = -1


class Programs(msgspec.Struct, frozen=True):
    """The modules that the children run."""

    control: str = "halley.control"
    relay: str = "halley.serve"
    upstream: str = "halley.simulator"


class Inherited:
    """A process that an earlier program in this one started: as much of `Popen` as is needed."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Child:
    """A running process, and our end of the channel to it: it says `ready`, a relay also `leaving` when somebody else sent it SIGTERM, and
    `finished` when at the end of the node only newcomers are left. A relay is told its orders there (`serve.orders`). `channel` is None
    once the other side has closed it."""

    __slots__ = ("channel", "deadline", "finished", "leaving", "name", "process", "ready", "started")

    def __init__(self, name: str, process: subprocess.Popen[bytes] | Inherited, channel: socket.socket | None) -> None:
        self.name = name
        self.process = process
        self.channel = channel
        self.ready = self.leaving = self.finished = False
        self.started = time.monotonic()
        # When it is killed, having been asked to end.
        self.deadline: float | None = None

    @classmethod
    def of(cls, kept: Kept) -> Child:
        channel = socket.socket(fileno=kept.channel) if kept.channel >= 0 else None
        child = cls(kept.post, Inherited(kept.pid), channel)
        child.ready, child.leaving, child.started, child.deadline = kept.ready, kept.leaving, kept.started, kept.deadline
        return child

    def keep(self, role: Literal["child", "successor", "leaving"]) -> Kept:
        channel = self.channel.fileno() if self.channel is not None else -1
        return Kept(self.name, role, self.pid, channel, self.ready, self.leaving, self.started, self.deadline)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def gone(self) -> bool:
        return self.process.returncode is not None

    def hear(self) -> bool:
        """Reads what it says; False at the end of the channel."""
        assert self.channel is not None
        try:
            words = self.channel.recv(1024).split()
        except BlockingIOError:
            return True
        except ConnectionError:
            words = []
        self.ready = self.ready or b"ready" in words
        self.leaving = self.leaving or b"leaving" in words
        self.finished = self.finished or b"finished" in words
        return bool(words)

    def hang_up(self) -> None:
        if self.channel is not None:
            self.channel.close()
            self.channel = None

    def tell(self, word: str) -> None:
        """An order; one that has died meanwhile needs none."""
        if self.channel is not None:
            with contextlib.suppress(OSError):
                self.channel.send(f"{word}\n".encode())

    def expect_end(self, grace_s: float) -> None:
        """Sets when it is killed if it has not ended by then; the first time counts."""
        if self.deadline is None:
            self.deadline = time.monotonic() + grace_s

    def dismiss(self, grace_s: float) -> None:
        """Asks it to end by the signal that every program knows."""
        self.expect_end(grace_s)
        self.process.send_signal(signal.SIGTERM)

    def outcome(self) -> str:
        """How it ended, in words."""
        code = self.process.returncode
        if code is None:
            return "is running"
        return f"ended with exit code {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"


class Post:
    """A place to be manned, and by whom. `successor` is the process that takes over from `child` in a rolling restart."""

    __slots__ = ("child", "due", "name", "pause", "program", "successor", "wanted")

    def __init__(self, name: str, program: Program) -> None:
        self.name = name
        self.program = program
        self.child: Child | None = None
        self.successor: Child | None = None
        self.wanted = True
        self.pause = FIRST_PAUSE_S
        # When the next process is started, if one is missing.
        self.due: float | None = None

    @property
    def serves(self) -> bool:
        """Whether somebody is there who is ready and has not been asked to end."""
        child = self.child
        return child is not None and child.ready and child.deadline is None

    def lose(self, child: Child) -> None:
        """Its process is gone; sets when the next one starts."""
        if time.monotonic() - child.started >= SETTLED_S:
            self.pause = FIRST_PAUSE_S
        self.child = None
        self.postpone()

    def postpone(self) -> None:
        """The next start is due after a pause that doubles until a process has lived long enough."""
        self.due = time.monotonic() + self.pause
        self.pause = min(self.pause * 2, LONGEST_PAUSE_S)


def spawn(name: str, program: Program, launch: Launch, life_fd: int, held: Sequence[int]) -> Child:
    """Starts a process. It inherits its listening socket, its channel, the life pipe and the descriptors `held`, and nothing else."""
    ours, theirs = socket.socketpair()
    listening = () if program.listen_fd < 0 else (program.listen_fd,)
    with theirs:
        arguments = [
            *program.arguments,
            *(("--listen-fd", str(program.listen_fd)) if listening else ()),
            "--channel-fd",
            str(theirs.fileno()),
        ]
        # -P: a file in the operator's working directory must not take the place of a module.
        command = [sys.executable, "-P", "-m", "halley.supervise.lifeline", str(life_fd), program.module, *arguments]
        try:
            # A file without a name instead of a pipe: a child that hangs before it has read cannot hold up the supervisor.
            with _nameless_file() as launch_file:
                launch_file.write(launch.pack())
                launch_file.seek(0)
                process = subprocess.Popen(
                    command,
                    env=_ALLOCATOR | os.environ,
                    stdin=launch_file,
                    pass_fds=(*listening, theirs.fileno(), life_fd, *held),
                    # Its own group: an interrupt typed at a terminal reaches the supervisor only, which knows the order of ending.
                    process_group=0,
                )
        except OSError:
            ours.close()
            raise
    ours.setblocking(False)
    return Child(name, process, ours)


def _nameless_file() -> IO[bytes]:
    """In memory where the system can: the settings may hold keys, and what was on a disk once can be found there."""
    return os.fdopen(os.memfd_create("launch"), "w+b") if sys.platform == "linux" else tempfile.TemporaryFile()
