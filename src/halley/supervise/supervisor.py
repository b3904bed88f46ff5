"""The loop that keeps a node manned: starts embedded upstream, control and relays, restarts what dies, rolls relays over, ends in order.

One thread and one selector: signals and deaths of children arrive on a wake-up socket, readiness on pipes. It never polls, never accepts a
connection (the listening socket stays open here, so that clients wait in its queue while relays change), and holds no request.
"""

from __future__ import annotations

import math
import os
import selectors
import signal
import time
from collections.abc import Callable
from pathlib import Path

from halley.config import Launch, Settings
from halley.supervise.child import Child, Post, Program, Programs, spawn
from halley.supervise.doors import HANDSHAKE_S, Status, forget_status, shut, write_status
from halley.supervise.handover import (
    Handover,
    Holdings,
    Kept,
    Rehearsal,
    code_fingerprint,
    control_fingerprint,
    hand_over,
    own_command,
)
from halley.supervise.notify import notify, reloading
from halley.supervise.signals import Signals, silence

# Beyond the time that relays give their own requests, before they are killed.
_DRAIN_MARGIN_S = 5.0
_CONTROL_S = 60.0
_UPSTREAM_S = 5.0
_PATIENCE_S = 10.0


class Supervisor:
    """One node. `before` is what the program before this one left in this process, None at an ordinary start.

    `say` gets lines for a person; `announce` is called once, when everything serves for the first time.
    """

    def __init__(
        self,
        launch: Launch,
        holdings: Holdings,
        *,
        url: str,
        say: Callable[[str], None],
        announce: Callable[[], None],
        before: Handover | None = None,
        programs: Programs | None = None,
    ) -> None:
        programs = programs or Programs()
        server = launch.settings.server
        self._launch = launch
        self._holdings = holdings
        self._url = url
        self._say = say
        self._announce = announce
        self._notice_s = min(server.drain_notice_seconds, server.drain_seconds)
        self._drain_s = server.drain_seconds + _DRAIN_MARGIN_S
        self._upstream = Post("upstream", Program(programs.upstream, ("--local",), holdings.upstream.fileno()))
        self._control = Post("control", Program(programs.control))
        names = [f"relay-{index}" for index in range(server.workers)]
        self._relays = [Post(name, Program(programs.relay, ("--name", name), holdings.listening.fileno())) for name in names]
        self._posts = [self._upstream, self._control, *self._relays]
        self._leaving: list[Child] = []
        self._rolling: list[Post] = []
        self._selector = selectors.DefaultSelector()
        self._code = code_fingerprint()
        self._control_state = control_fingerprint(launch.settings, self._code)
        self._rehearsal: Rehearsal | None = None
        self._reloads = 0
        self._refused = ""
        # The posts that are not renewed yet, while a reload is under way.
        self._reloading = False
        self._signals = Signals()
        self._failed: Child | None = None
        self._serving = False
        self._stops: list[int] = []
        if before is not None:
            self._adopt(before)

    def run(self) -> int:
        """Runs the node until it is told to end. The exit code: 0, or 1 when a child did not get through its first start."""
        with self._signals.coming_in(self._selector):
            for post in self._posts:
                if post.child is None:
                    post.due = time.monotonic()
            self._pump(lambda: self._serving or self._manned() or self._failed is not None or bool(self._stops), self._say_who_is_missing)
            if not self._serving and self._manned() and self._failed is None:
                self._serving = True
                self._publish()
                self._announce()
                notify("READY=1", f"STATUS=Serving on {self._url}")
            if self._serving:
                self._pump(lambda: bool(self._stops))
            notify("STOPPING=1")
            self._end_relays()
            self._dismiss(self._control, _CONTROL_S)
            self._dismiss(self._upstream, _UPSTREAM_S)
        forget_status(Path(self._launch.home))
        if self._failed is not None:
            self._say(f"halley did not start: {self._failed.name} {self._failed.outcome()}; its own message stands above.")
            return 1
        return 0

    # Events

    def _pump(self, done: Callable[[], bool], impatient: Callable[[], None] | None = None, limit: float = math.inf) -> None:
        """Waits for events and answers them until `done` or the limit; calls `impatient` whenever it has waited for long."""
        patience = time.monotonic() + _PATIENCE_S
        while not done() and time.monotonic() < limit:
            self._roll()
            due = [post.due for post in self._posts if post.due is not None and self._may_start(post)]
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
                if post.due is not None and post.due <= now and self._may_start(post):
                    self._start(post)
            self._rehearsed()
            if impatient is not None and patience <= now:
                patience = now + _PATIENCE_S
                impatient()

    def _wait(self, timeout_s: float | None) -> None:
        for key, _ in self._selector.select(timeout_s):
            if isinstance(key.data, Child):
                self._hear(key.data)
            else:
                silence(key.data)

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
        while self._signals.noted:
            number = self._signals.noted.pop(0)
            if number == signal.SIGHUP and not self._signals.terminal_is_gone:
                if self._serving and not self._stops:
                    self._rehearse()
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

    # Children

    def _children(self) -> list[Child]:
        manned = [child for post in self._posts for child in (post.child, post.successor) if child is not None]
        return manned + self._leaving

    def _manned(self) -> bool:
        return all(post.serves for post in self._posts)

    def _spawn(self, post: Post) -> Child:
        child = spawn(post.name, post.program, self._launch, self._holdings.life[0], (self._holdings.lock,))
        assert child.channel is not None
        self._selector.register(child.channel, selectors.EVENT_READ, child)
        return child

    def _may_start(self, post: Post) -> bool:
        """In a reload control comes first: a relay that asks the old one would serve yesterday's settings."""
        return post.wanted and (not self._reloading or self._control.serves or post not in self._relays)

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
                post.successor = None
                self._give_up(f"The new {child.name} {child.outcome()}; the old one stays, and the rolling restart ends here.")
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
        while self._rolling and self._may_start(self._rolling[0]):
            post = self._rolling[0]
            if post.child is None:
                self._rolling.pop(0)  # it is being started anyway
            elif post.successor is None:
                try:
                    post.successor = self._spawn(post)
                except OSError as fault:
                    self._give_up(f"{post.name} cannot be started ({fault.strerror}); the rolling restart ends here.")
                return
            elif post.successor.ready:
                old, post.child, post.successor = post.child, post.successor, None
                self._leaving.append(old)
                old.expect_end(self._drain_s)
                if post is self._upstream:
                    old.process.send_signal(signal.SIGTERM)
                else:
                    old.tell("leave")
                self._rolling.pop(0)
                self._publish()
            else:
                return
        if self._reloading and self._manned():
            self._reloading = False
            self._settle("")

    # A reload: rehearse, run the new program in this process, renew the children one after the other.

    def _rehearse(self) -> None:
        if self._rehearsal is not None:
            self._rehearsal.stop()  # it may have read what has changed since
        self._say("Reloading: the configuration is read and checked first.")
        try:
            self._rehearsal = Rehearsal(own_command())
        except OSError as fault:
            self._settle(f"it cannot be read ({fault.strerror})")

    def _rehearsed(self) -> None:
        rehearsal = self._rehearsal
        if rehearsal is None or not rehearsal.over or self._stops:
            return
        self._rehearsal = None
        result = rehearsal.result()
        if isinstance(result, str):
            self._settle(result)
            return
        with self._signals.waiting() as quiet:
            if not quiet:
                return  # to end is more urgent, and another reload reads anew
            reloading()
            try:
                hand_over(self._handover(result), own_command())
            except OSError as fault:
                self._settle(f"{own_command()[0]} cannot be run ({fault.strerror})")

    def _handover(self, settings: Settings) -> Handover:
        kept: list[Kept] = [child.keep("leaving") for child in self._leaving]
        for post in self._posts:
            kept += [post.child.keep("child")] if post.child is not None else []
            kept += [post.successor.keep("successor")] if post.successor is not None else []
        return Handover(settings, self._holdings.noted(), self._code, self._control_state, self._reloads, tuple(kept))

    def _adopt(self, before: Handover) -> None:
        """Takes over the children that run, and plans who is renewed: every relay, control if it was started with something else."""
        self._serving = self._reloading = True
        self._reloads = before.reloads
        places = {post.name: post for post in self._posts}
        for kept in before.children:
            child = Child.of(kept)
            if child.channel is not None:
                self._selector.register(child.channel, selectors.EVENT_READ, child)
            post = places.get(kept.post)
            if kept.role == "child" and post is not None:
                post.child = child
            else:
                # Of a successor there will be a newer one; of a relay that is too many, none.
                self._leaving.append(child)
                child.expect_end(self._drain_s)
                child.tell("leave")
        self._rolling = [post for post in self._relays if post.child is not None]
        if before.code != self._code and self._upstream.child is not None:
            self._rolling.insert(0, self._upstream)
        if before.control != self._control_state and self._control.child is not None:
            self._say("Control is started anew; relays serve on meanwhile.")
            self._control.child.dismiss(_CONTROL_S)

    def _give_up(self, why: str) -> None:
        self._rolling.clear()
        self._reloading = False
        self._say(why)
        self._settle(why)

    def _settle(self, refused: str) -> None:
        """A reload has come to its end."""
        self._reloads += 1
        self._refused = refused
        if refused:
            for line in refused.splitlines():
                self._say(f"  {line}")
            self._say("The reload was refused; everything goes on as before.")
        else:
            self._say("Reloaded.")
        self._publish()
        notify("READY=1")

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
        self._pump(lambda: len(self._stops) > 1 or all(child.gone for child in ending), limit=time.monotonic() + notice_s)
        for child in ending:
            child.tell("leave" if self._holdings.passed else "end")
        if not self._holdings.passed:
            self._pump(lambda: all(child.finished or child.gone for child in ending))
            shut(self._holdings.listening)
            self._pump(lambda: all(child.gone for child in ending), limit=time.monotonic() + HANDSHAKE_S)
            for child in ending:
                child.tell("close")
        self._holdings.listening.close()
        self._pump(lambda: all(child.gone for child in ending))

    def _dismiss(self, post: Post, grace_s: float) -> None:
        """Asks the child of the post to end, and returns when it has."""
        post.wanted, post.due = False, None
        child = post.child
        if child is not None:
            child.dismiss(grace_s)
            self._pump(lambda: child.gone)

    # What others can see

    def _publish(self) -> None:
        """Writes `up.json`: who serves, for tools and tests. It is there from the moment when everything serves for the first time."""
        if not self._serving:
            return
        children = {post.name: post.child.pid for post in self._posts if post.child is not None and post.child.ready}
        server = self._launch.settings.server
        write_status(Path(self._launch.home), Status(os.getpid(), server.port, self._url, children, self._reloads, self._refused))

    def _say_who_is_missing(self) -> None:
        missing = [post.name for post in self._posts if not post.serves]
        self._say(f"Still waiting for {', '.join(missing)}.")
