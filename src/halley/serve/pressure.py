"""Whether this relay has more to do than it can: how late its event loop runs and how much memory it holds, looked at on a timer.

Admission reads one attribute, `refusal`; open streams go on whatever it says. One late beat is a hiccup (a stopped process, a slow disk)
and refuses nobody: only several in a row are overload, and a whole calm second ends it.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Literal

from halley.errors import Condition, Refused

BEAT_S = 0.05
LATE_BEATS = 3  # so many in a row over the limit
LATE_S = 0.1  # a beat that is counted as late in the metrics
CALM_S = 1.0  # so long without a beat over half of the limit; also what a refused client is told to wait
MEMORY_CALM = 0.95  # share of the limit under which memory no longer refuses
MEMORY_BEATS = 5
MEMORY_SHARE = 0.9  # of the machine or container, among all relays, when no limit is set

Reason = Literal["lag", "memory"]


class Pressure:
    """`lag_s` is the worst lateness of the last whole second, `late` counts beats over `LATE_S`, `resident` is in bytes (0 if unknown)."""

    __slots__ = ("_beats", "_calm_at", "_due", "_late_row", "_loop", "_statm", "_timer", "_worst", "lag_limit_s", "lag_s", "late",
                 "memory_limit", "reason", "refusal", "resident")  # fmt: skip

    def __init__(self, lag_limit_s: float, memory_limit: int) -> None:
        self.lag_limit_s = lag_limit_s
        self.memory_limit = memory_limit
        self.refusal: Refused | None = None
        self.reason: Reason | None = None
        self.lag_s = self._worst = 0.0
        self.late = self.resident = 0
        self._beats = self._late_row = 0
        self._calm_at = self._due = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._statm = -1

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._statm = -1  # not Linux: memory is not watched
        self._loop = loop
        self._wait(loop.time())

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._statm >= 0:
            os.close(self._statm)
            self._statm = -1
        self._timer = self._loop = None

    def each_second(self) -> None:
        self.lag_s, self._worst = self._worst, 0.0

    def beat(self, late_s: float, now: float, resident: int | None = None) -> None:
        """One look: how late the loop came to it, and the memory if it was measured."""
        if late_s > self._worst:
            self._worst = late_s
        if late_s > LATE_S:
            self.late += 1
        self._late_row = self._late_row + 1 if late_s > self.lag_limit_s else 0
        if late_s > self.lag_limit_s / 2:
            self._calm_at = now + CALM_S
        if resident is not None:
            self.resident = resident
        if self.resident > self.memory_limit:
            self._refuse("memory")
        elif self._late_row >= LATE_BEATS:
            self._refuse("lag")
        elif self.reason == "memory":
            if self.resident <= self.memory_limit * MEMORY_CALM:
                self._allow()
        elif self.reason == "lag" and now >= self._calm_at:
            self._allow()

    def _refuse(self, reason: Reason) -> None:
        if self.reason != reason:
            self.reason = reason
            self.refusal = refusal()

    def _allow(self) -> None:
        self.reason = self.refusal = None

    def _wait(self, now: float) -> None:
        assert self._loop is not None
        self._due = now + BEAT_S
        self._timer = self._loop.call_at(self._due, self._on_timer)

    def _on_timer(self) -> None:
        assert self._loop is not None
        now = self._loop.time()
        late_s = now - self._due
        self._wait(now)
        self._beats += 1
        measured = self._beats % MEMORY_BEATS == 0 and self._statm >= 0
        self.beat(late_s, now, _resident(self._statm) if measured else None)


def refusal() -> Refused:
    """What new work is told. A new one each time it is raised: an exception that is raised twice keeps its first traceback."""
    return Refused(Condition.OVERLOADED, "The gateway has more to do than it can; try again in a moment.", retry_after_s=CALM_S)


def memory_limit(configured_mb: int | None, workers: int) -> int:
    """Bytes that one relay may hold: what is configured, else its share of nine tenths of what the machine or container has."""
    if configured_mb is not None:
        return configured_mb << 20
    return int(MEMORY_SHARE * _machine_memory() / workers)


def _resident(statm: int) -> int:
    return int(os.pread(statm, 128, 0).split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _machine_memory() -> int:
    most = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for limit in _container_limits():
        try:
            text = limit.read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text.isdigit():
            most = min(most, int(text))
    return most


def _container_limits() -> list[Path]:
    """The files that may hold a limit for this process's control group, of either version."""
    root = Path("/sys/fs/cgroup")
    found = [root / "memory" / "memory.limit_in_bytes"]
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("0::"):
            place = root / line[3:].lstrip("/")
            found += [parent / "memory.max" for parent in (place, *place.parents) if parent.is_relative_to(root)]
    return found
