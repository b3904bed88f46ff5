"""The order in which offers are asked."""

from collections import Counter
from dataclasses import dataclass, field
from itertools import count

from halley.policy import routing
from halley.policy.health import FAILURES_TO_OPEN, Breaker


@dataclass
class Offer:
    name: str
    priority: int = 0
    weight: int = 1
    breaker: Breaker = field(default_factory=Breaker)


def broken(name: str, priority: int = 0) -> Offer:
    offer = Offer(name, priority)
    for _ in range(FAILURES_TO_OPEN):
        offer.breaker.failed(0.0, 0.5)
    return offer


def order(*offers: Offer, roll: float = 0.0) -> list[str]:
    return [offer.name for offer in routing.candidates(offers, 1.0, lambda: roll)]


def test_smaller_priority_first_each_once() -> None:
    assert order(Offer("c", 2), Offer("a", 0), Offer("b", 1)) == ["a", "b", "c"]


def test_three_attempts_at_most() -> None:
    assert len(order(*(Offer(str(n), n) for n in range(9)))) == routing.MAX_ATTEMPTS


def test_an_open_breaker_is_passed_over() -> None:
    assert order(broken("a"), Offer("b", 1)) == ["b"]


def test_when_all_are_open_the_best_is_still_asked_once() -> None:
    assert order(broken("a"), broken("b", 1)) == ["a"]
    assert order(broken("only")) == ["only"]


def test_equal_priorities_share_by_weight() -> None:
    rolls = count()
    first = Counter(
        next(routing.candidates((Offer("a", weight=3), Offer("b", weight=1)), 1.0, lambda: (next(rolls) % 100) / 100)).name
        for _ in range(400)
    )
    assert first == {"a": 300, "b": 100}
