"""Upstream answers that are read to their end although the client has left, because the provider bills them in full anyway.

Bounded in number and time; over the cap an answer is cut and paid as delivered.
"""

from __future__ import annotations

from typing import Protocol


class Abandonable(Protocol):
    def abandon(self) -> None: ...


class Drains:
    """At most `most` at a time, each for at most `longest_s`."""

    def __init__(self, most: int, longest_s: float) -> None:
        self._most = most
        self._longest_s = longest_s
        self._until: dict[Abandonable, float] = {}

    def adopt(self, run: Abandonable, now: float) -> bool:
        """Take over a run without a client; False when there are too many already."""
        if len(self._until) >= self._most:
            return False
        self._until[run] = now + self._longest_s
        return True

    def forget(self, run: Abandonable) -> None:
        """The run has ended."""
        self._until.pop(run, None)

    def each_second(self, now: float) -> None:
        for run in [run for run, until in self._until.items() if until <= now]:
            del self._until[run]
            run.abandon()
