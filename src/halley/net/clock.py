"""One coarse clock for a whole process: the time that deadlines are held against, the date header, and one sweep per second.

Nothing on the request path arms a timer; what can expire registers one callable in `every_second` and looks at all its members there.
The clock never decides what expires. `period_s` is one second in service; tests of deadlines shorten it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from email.utils import formatdate


class Clock:
    """`now` is monotonic and as old as the last sweep or `tick()`; `wall` is Unix time; `date` is an RFC 9110 date."""

    __slots__ = ("_loop", "_timer", "date", "every_second", "now", "period_s", "wall")

    def __init__(self, period_s: float = 1.0) -> None:
        self.period_s = period_s
        self.every_second: list[Callable[[], None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._read()

    def tick(self) -> float:
        """Reads the monotonic clock; for the moments that start a deadline or are recorded."""
        self.now = now = time.monotonic()
        return now

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._read()
        self._timer = loop.call_later(self.period_s, self._sweep)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop = None

    def _read(self) -> None:
        self.now = time.monotonic()
        self.wall = time.time()
        self.date = formatdate(self.wall, usegmt=True).encode()

    def _sweep(self) -> None:
        # The next sweep is armed first: one that raises must not be the last.
        assert self._loop is not None
        self._timer = self._loop.call_later(self.period_s, self._sweep)
        self._read()
        for expire in tuple(self.every_second):
            expire()
