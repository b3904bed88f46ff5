"""What only control knows and a relay asks it for: one question, one answer, within `WAIT_S`, else 503.

A question that was put while the link was down, or that went down with it, is put again when it is up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from halley.errors import Condition, Refused
from halley.store.messages import AnswerGone, Answers, AnswersWanted, ClaimWanted, FromRelay

WAIT_S = 2.0

Question = AnswersWanted | AnswerGone | ClaimWanted
Make = Callable[[int], Question]


class Asker(Protocol):
    """Who waits for the answer."""

    def told(self, found: Answers, /) -> None: ...
    def refused(self, refusal: Refused) -> None: ...


class _Open(NamedTuple):
    question: Question
    asker: Asker
    until: float


class Questions:
    """`ask` never answers from within. An asker has one question open at a time."""

    def __init__(self, send: Callable[[FromRelay], bool], now: Callable[[], float]) -> None:
        self._send = send
        self._now = now
        self._number = 0
        self._open: dict[int, _Open] = {}

    def ask(self, asker: Asker, make: Make) -> None:
        self._number += 1
        question = make(self._number)
        self._open[self._number] = _Open(question, asker, self._now() + WAIT_S)
        self._send(question)

    def forget(self, asker: Asker) -> None:
        """Nobody waits for the answer any more."""
        for number, each in list(self._open.items()):
            if each.asker is asker:
                del self._open[number]

    def answered(self, answer: Answers) -> None:
        waiting = self._open.pop(answer.question, None)
        if waiting is not None:
            waiting.asker.told(answer)

    def reconnected(self) -> None:
        for each in self._open.values():
            self._send(each.question)

    def each_second(self, now: float) -> None:
        late = [number for number, each in self._open.items() if each.until <= now]
        for number in late:
            refusal = Refused(Condition.OVERLOADED, "What is kept could not be looked up in time; try again.", retry_after_s=1.0)
            self._open.pop(number).asker.refused(refusal)
