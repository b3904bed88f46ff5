"""What keys have used, and what is left of their budgets: the same figures for every route that shows or changes a key."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection

from halley.money import NanoDollars
from halley.store import budgets, pots, usage
from halley.store.pots import State
from halley.store.usage import OfKey
from halley.store.values import Budget


class Spending(NamedTuple):
    """Of one key: `used` is all it was ever charged, `state` how its budget stands in the period that goes on."""

    used: OfKey
    budget: Budget | None
    state: State

    @property
    def left(self) -> NanoDollars | None:
        """Of its budget; None without one."""
        return None if self.budget is None else max(self.budget.row.amount - self.state.spent, 0)


NOTHING_USED = OfKey(0, 0, 0.0)


def of_keys(connection: Connection, keys: Iterable[str], now: float) -> dict[str, Spending]:
    """By the id of each of the keys."""
    wanted = list(keys)
    used, limited = usage.of_keys(connection, wanted), budgets.of_keys(connection, wanted)
    places = {key: pots.current(budget.row, now) for key, budget in limited.items()}
    states = pots.states(connection, list(places.values()))

    def state(key: str) -> State:
        return states.get(places[key], pots.NOTHING_SPENT) if key in places else pots.NOTHING_SPENT

    return {key: Spending(used.get(key, NOTHING_USED), limited.get(key), state(key)) for key in wanted}
