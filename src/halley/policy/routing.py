"""Which offer is asked next. A generator per request that yields offers and is told outcomes; it does no I/O and reads no clock.

Order: healthy before unhealthy, smaller priority first, then by weight at random. Each offer is asked at most once per request, three
attempts in all. When every breaker is open the best offer is still asked, so that the last upstream of a model is never locked out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

from halley.policy.health import Breaker

MAX_ATTEMPTS = 3


class Routable(Protocol):
    @property
    def priority(self) -> int: ...
    @property
    def weight(self) -> int: ...
    @property
    def breaker(self) -> Breaker: ...


O = TypeVar("O", bound=Routable)  # noqa: E741


def candidates(offers: tuple[O, ...], now: float, roll: Callable[[], float]) -> Iterator[O]:
    """Offers in the order to try. `roll` is uniform in [0, 1)."""
    if len(offers) == 1:
        offers[0].breaker.allows(now)
        return iter(offers)
    return _in_turn(offers, now, roll)


def _in_turn(offers: tuple[O, ...], now: float, roll: Callable[[], float]) -> Iterator[O]:
    left = sorted(offers, key=lambda offer: offer.priority)
    asked = 0
    while left and asked < MAX_ATTEMPTS:
        healthy = [offer for offer in left if offer.breaker.until <= now]
        if not healthy and asked:
            return
        pool = healthy or left
        chosen = _by_weight([offer for offer in pool if offer.priority == pool[0].priority], roll)
        chosen.breaker.allows(now)
        left.remove(chosen)
        asked += 1
        yield chosen


def _by_weight(offers: list[O], roll: Callable[[], float]) -> O:
    if len(offers) == 1:
        return offers[0]
    mark = roll() * sum(offer.weight for offer in offers)
    for offer in offers:
        mark -= offer.weight
        if mark < 0:
            return offer
    return offers[-1]
