"""Upstream answers that are read to their end although the client has left, because the provider bills them in full anyway.

Bounded in number and time; over the cap an answer is cut and paid as delivered (`reliability.md` §3.2).
"""

from __future__ import annotations

from collections.abc import Container
from typing import Protocol

MOST = 64
LONGEST_S = 120.0


class Abandonable(Protocol):
    def abandon(self) -> None: ...


class Drains:
    def __init__(self) -> None:
        self._until: dict[Abandonable, float] = {}
        self.now = 0.0

    def adopt(self, run: Abandonable) -> bool:
        """Take over a run without a client; False when there are too many already."""
        if len(self._until) >= MOST:
            return False
        self._until[run] = self.now + LONGEST_S
        return True

    def each_second(self, now: float, open_runs: Container[Abandonable]) -> None:
        self.now = now
        for run, until in list(self._until.items()):
            if run not in open_runs:
                del self._until[run]
            elif until <= now:
                del self._until[run]
                run.abandon()
