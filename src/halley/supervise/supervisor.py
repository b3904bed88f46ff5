"""The loop that keeps a node manned: starts embedded upstream, control and relays, restarts what dies, rolls relays over, ends in order.

One thread and one selector: signals and deaths of children arrive on a wake-up socket, readiness on pipes. It never polls, never accepts a
connection (the listening socket stays open here, so that clients wait in its queue while relays change), and holds no request.
"""

from __future__ import annotations

import contextlib
import math
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Generator
from pathlib import Path
from types import FrameType

import msgspec

from halley.config import Launch
from halley.supervise.child import Child, Post, Program, spawn
from halley.supervise.doors import Status

# Beyond the time that relays give their own requests, before they are killed.
_DRAIN_MARGIN_S = 5.0
_CONTROL_S = 60.0
_UPSTREAM_S = 5.0
_PATIENCE_S = 10.0


class Programs(msgspec.Struct, frozen=True):
    """The modules that the children run."""

    control: str = "halley.control"
    relay: str = "halley.serve"
    upstream: str = "halley.simulator"


class Supervisor:
    """One node. `listening` is where clients come in (`passed`: a service manager keeps it for the next node), `upstream` where the
    embedded upstream serves; `held` are inherited by every child.

    `say` gets lines for a person; `announce` is called once, when everything serves for the first time.
    """

    def __init__(
        self,
        launch: Launch,
        listening: socket.socket,
        upstream: socket.socket,
        *,
        url: str,
        say: Callable[[str], None],
        announce: Callable[[], None],
        held: tuple[int, ...] = (),
        passed: bool = False,
        programs: Programs | None = None,
    ) -> None:
        programs = programs or Programs()
        server = launch.settings.server
        self._launch = launch
        self._url = url
        self._port: int = listening.getsockname()[1]
        self._listening = listening
        self._passed = passed
        self._say = say
        self._announce = announce
        self._held = held
        self._notice_s = min(server.drain_notice_seconds, server.drain_seconds)
        self._drain_s = server.drain_seconds + _DRAIN_MARGIN_S
        self._upstream = Post("upstream", Program(programs.upstream, ("--local",), upstream.fileno()))
        self._control = Post("control", Program(programs.control))
        names = [f"relay-{index}" for index in range(server.workers)]
        self._relays = [Post(name, Program(programs.relay, ("--name", name), listening.fileno())) for name in names]
        self._posts = [self._upstream, self._control, *self._relays]
        self._leaving: list[Child] = []
        self._rolling: list[Post] = []
        self._life, self._life_end = os.pipe()
        self._selector = selectors.DefaultSelector()
        self._signals: list[int] = []
        self._failed: Child | None = None
        self._serving = False
        self._stops: list[int] = []
        self._has_terminal = os.isatty(2)

    def run(self) -> int:
        """Runs the node until it is told to end. The exit code: 0, or 1 when a child did not get through its first start."""
        with self._listening_for_signals():
            for post in self._posts:
                self._start(post)
            self._pump(lambda: self._manned() or self._failed is not None or bool(self._stops), self._say_who_is_missing)
            if self._manned() and self._failed is None:
                self._serving = True
                self._publish()
                self._announce()
                self._pump(lambda: bool(self._stops))
            self._end_relays()
            self._dismiss(self._control, _CONTROL_S)
            self._dismiss(self._upstream, _UPSTREAM_S)
        self._status_file.unlink(missing_ok=True)
        if self._failed is not None:
            self._say(f"halley did not start: {self._failed.name} {self._failed.outcome()}; its own message stands above.")
            return 1
        return 0

    # Events

    @contextlib.contextmanager
    def _listening_for_signals(self) -> Generator[None]:
        awake, wake = socket.socketpair()
        awake.setblocking(False)
        wake.setblocking(False)
        self._selector.register(awake, selectors.EVENT_READ)
        wanted = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
        before = [(number, signal.signal(number, self._note)) for number in wanted]
        previous = signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(previous)
            for number, disposition in before:
                signal.signal(number, disposition)
            self._selector.close()
            awake.close()
            wake.close()

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGCHLD:
            self._signals.append(number)

    def _pump(self, done: Callable[[], bool], impatient: Callable[[], None] | None = None, limit: float = math.inf) -> None:
        """Waits for events and answers them until `done` or the limit; calls `impatient` whenever it has waited for long."""
        patience = time.monotonic() + _PATIENCE_S
        while not done() and time.monotonic() < limit:
            due = [post.due for post in self._posts if post.wanted and post.due is not None]
            due += [child.deadline for child in self._children() if child.deadline is not None]
            if impatient is not None:
                due.append(patience)
            if limit < math.inf:
                due.append(limit)
            self._wait(max(0.0, min(due) - time.monotonic()) if due else None)
            self._hear_signals()
            self._reap()
            now = time.monotonic()
            for child in self._children():
                if child.deadline is not None and child.deadline <= now:
                    self._say(f"{child.name} did not end in time and is killed.")
                    child.deadline = None
                    child.process.kill()
            for post in self._posts:
                if post.wanted and post.due is not None and post.due <= now:
                    self._start(post)
            self._roll()
            if impatient is not None and patience <= now:
                patience = now + _PATIENCE_S
                impatient()

    def _wait(self, timeout_s: float | None) -> None:
        for key, _ in self._selector.select(timeout_s):
            if isinstance(key.data, Child):
                self._hear(key.data)
            elif isinstance(key.fileobj, socket.socket):
                with contextlib.suppress(BlockingIOError):
                    while key.fileobj.recv(4096):
                        pass

    def _hear(self, child: Child) -> None:
        assert child.channel is not None
        if not child.hear():
            self._selector.unregister(child.channel)
            child.hang_up()
        if child.leaving and child.deadline is None:
            child.expect_end(self._drain_s)
            post = next((post for post in self._relays if post.child is child and post.wanted), None)
            if post is not None and post not in self._rolling:
                self._say(f"{child.name} was told to end; it gets a successor.")
                self._rolling.append(post)
        self._publish()

    def _hear_signals(self) -> None:
        while self._signals:
            number = self._signals.pop(0)
            if number == signal.SIGHUP and not self._terminal_is_gone():
                if self._serving and not self._stops:
                    self._say("Rolling the relays over.")
                    self._rolling = list(self._relays)
                continue
            self._stops.append(number)
            if len(self._stops) == 1:
                self._say("Ending: open requests are finished first; a second signal ends them at once.")
            else:
                self._hurry()

    def _hurry(self) -> None:
        relays = [child for post in self._relays for child in (post.child, post.successor) if child is not None]
        for child in (*relays, *self._leaving):
            child.tell("now")
        for post in (self._control, self._upstream):
            if post.child is not None and post.child.deadline is not None:
                post.child.process.send_signal(signal.SIGTERM)

    def _terminal_is_gone(self) -> bool:
        """Whether SIGHUP says that the terminal was closed, rather than asking for a rolling restart."""
        return self._has_terminal and not os.isatty(2)

    # Children

    def _children(self) -> list[Child]:
        manned = [child for post in self._posts for child in (post.child, post.successor) if child is not None]
        return manned + self._leaving

    def _manned(self) -> bool:
        return all(post.child is not None and post.child.ready for post in self._posts)

    def _spawn(self, post: Post) -> Child:
        child = spawn(post.name, post.program, self._launch, self._life, self._held)
        assert child.channel is not None
        self._selector.register(child.channel, selectors.EVENT_READ, child)
        return child

    def _start(self, post: Post) -> None:
        post.due = None
        try:
            post.child = self._spawn(post)
        except OSError as fault:
            # No memory or no process number just now: that passes, and the node must not end for it.
            self._say(f"{post.name} cannot be started ({fault.strerror}).")
            post.postpone()

    def _reap(self) -> None:
        for child in self._children():
            if child.process.poll() is None:
                continue
            if child.channel is not None:
                child.hear()
                self._selector.unregister(child.channel)
                child.hang_up()
            if child in self._leaving:
                self._leaving.remove(child)
                continue
            post = next(post for post in self._posts if child in (post.child, post.successor))
            if child is post.successor:
                self._say(f"The new {child.name} {child.outcome()}; the old one stays, and the rolling restart ends here.")
                post.successor = None
                self._rolling.clear()
            else:
                self._lost(post, child)

    def _lost(self, post: Post, child: Child) -> None:
        if not post.wanted:
            post.child = None
            return
        if not self._serving and not self._stops:
            # The first to fail is the cause; what fails after it may be its consequence.
            self._failed = self._failed or child
            post.child = None
            return
        post.lose(child)
        if post.successor is not None:
            post.child, post.successor, post.due = post.successor, None, None
            self._say(f"{child.name} {child.outcome()}; its successor takes over.")
        elif post.due is not None:
            self._say(f"{child.name} {child.outcome()}; it is started again in {post.due - time.monotonic():.1f} s.")
        self._publish()

    def _roll(self) -> None:
        """One step of the rolling restart: the first relay in line gets a successor, and leaves when that one serves."""
        while self._rolling:
            post = self._rolling[0]
            if post.child is None:
                self._rolling.pop(0)  # it is being started anyway
            elif post.successor is None:
                try:
                    post.successor = self._spawn(post)
                except OSError as fault:
                    self._say(f"{post.name} cannot be started ({fault.strerror}); the rolling restart ends here.")
                    self._rolling.clear()
                return
            elif post.successor.ready:
                old, post.child, post.successor = post.child, post.successor, None
                self._leaving.append(old)
                old.expect_end(self._drain_s)
                old.tell("leave")
                self._rolling.pop(0)
                self._publish()
            else:
                return

    def _end_relays(self) -> None:
        """Readiness first, then the open requests; newcomers are told to come back, or wait for the next node on a passed socket."""
        self._rolling.clear()
        for post in self._relays:
            post.wanted, post.due = False, None
            for child in (post.child, post.successor):
                if child is not None and not child.ready:
                    child.process.kill()  # it has served nobody, and may be waiting for a control process that never comes
        ending = [child for post in self._relays for child in (post.child, post.successor) if child is not None] + self._leaving
        for child in ending:
            child.expect_end(self._drain_s)
            child.tell("unready")
        # Who presses Ctrl-C has no load balancer that must notice first.
        notice_s = self._notice_s if self._stops[:1] == [signal.SIGTERM] else 0.0
        self._pump(lambda: len(self._stops) > 1 or _gone(ending), limit=time.monotonic() + notice_s)
        for child in ending:
            child.tell("leave" if self._passed else "end")
        # The last relay that closes its own takes along whom it has not answered, and nobody new can come.
        self._listening.close()
        self._pump(lambda: _gone(ending))

    def _dismiss(self, post: Post, grace_s: float) -> None:
        """Asks the child of the post to end, and returns when it has."""
        post.wanted, post.due = False, None
        child = post.child
        if child is not None:
            child.dismiss(grace_s)
            self._pump(lambda: _gone([child]))

    # What others can see

    @property
    def _status_file(self) -> Path:
        return Path(self._launch.home) / "up.json"

    def _publish(self) -> None:
        """Writes `up.json`: who serves, for tools and tests. It is there from the moment when everything serves for the first time."""
        if not self._serving:
            return
        children = {post.name: post.child.pid for post in self._posts if post.child is not None and post.child.ready}
        status = Status(os.getpid(), self._port, self._url, children)
        fresh = self._status_file.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(status))
        fresh.replace(self._status_file)

    def _say_who_is_missing(self) -> None:
        missing = [post.name for post in self._posts if post.child is None or not post.child.ready]
        self._say(f"Still waiting for {', '.join(missing)}.")


def _gone(children: list[Child]) -> bool:
    return all(child.process.returncode is not None for child in children)
