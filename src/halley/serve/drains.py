"""Upstream answers that are read to their end although the client has left, because the provider bills them in full anyway.

Bounded in number and time; over the cap an answer is cut and paid as delivered.
"""

from __future__ import annotations

from typing import Protocol

MOST = 64
LONGEST_S = 120.0


class Abandonable(Protocol):
    def abandon(self) -> None: ...


class Drains:
    def __init__(self) -> None:
        self._until: dict[Abandonable, float] = {}

    def adopt(self, run: Abandonable, now: float) -> bool:
        """Take over a run without a client; False when there are too many already."""
        if len(self._until) >= MOST:
            return False
        self._until[run] = now + LONGEST_S
        return True

    def forget(self, run: Abandonable) -> None:
        """The run has ended."""
        self._until.pop(run, None)

    def each_second(self, now: float) -> None:
        for run in [run for run, until in self._until.items() if until <= now]:
            del self._until[run]
            run.abandon()
