"""Signals as a queue: noted when they come, answered when the loop gets to them. A socket wakes the loop up; SIGCHLD does only that."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
from collections.abc import Generator
from types import FrameType

# Those that wait while the program is exchanged for another.
WANTED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


class Signals:
    def __init__(self) -> None:
        self.noted: list[int] = []
        self._had_terminal = os.isatty(2)

    @property
    def terminal_is_gone(self) -> bool:
        """Whether a SIGHUP says that the terminal was closed, rather than asking for a reload."""
        return self._had_terminal and not os.isatty(2)

    @contextlib.contextmanager
    def coming_in(self, selector: selectors.BaseSelector) -> Generator[None]:
        """They are noted within, and make the selector return."""
        awake, wake = socket.socketpair()
        awake.setblocking(False)
        wake.setblocking(False)
        selector.register(awake, selectors.EVENT_READ, awake)
        before = [(number, signal.signal(number, self._note)) for number in WANTED]
        previous = signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, WANTED)  # they waited if this program took over from another
        try:
            yield
        finally:
            signal.set_wakeup_fd(previous)
            for number, disposition in before:
                signal.signal(number, disposition)
            selector.unregister(awake)
            awake.close()
            wake.close()

    @contextlib.contextmanager
    def waiting(self) -> Generator[bool]:
        """They wait within, also for the next program in this process. True when none has been noted before."""
        signal.pthread_sigmask(signal.SIG_BLOCK, WANTED)
        try:
            yield not self.noted
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, WANTED)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGCHLD:
            self.noted.append(number)


def silence(awake: socket.socket) -> None:
    """Reads away what has woken the loop."""
    with contextlib.suppress(BlockingIOError):
        while awake.recv(4096):
            pass
