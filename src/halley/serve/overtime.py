"""The last of a request's clocks: however well it goes, it ends in a bounded time, so that its hold has a deadline too."""

from __future__ import annotations

from collections.abc import Set
from typing import Protocol

from halley.errors import Condition, Refused


class Timed(Protocol):
    """A request. `admitted` is when its start was written, 0.0 before that."""

    admitted: float

    def expel(self, refusal: Refused, /) -> None: ...


class Overtime:
    """Looks over the open requests once a second. A request is told at most once a second that it is over, until it is."""

    def __init__(self, runs: Set[Timed], longest_s: float) -> None:
        self._runs = runs
        self._longest_s = longest_s

    def each_second(self, now: float) -> None:
        since = now - self._longest_s
        late = [run for run in self._runs if 0.0 < run.admitted < since]
        for run in late:
            run.expel(Refused(Condition.DEADLINE, f"The request took longer than {self._longest_s:g} seconds."))
