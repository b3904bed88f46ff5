"""Budgets as they are shown: the period that goes on, and what is spent and set aside of it."""

from __future__ import annotations

from collections.abc import Sequence

from halley.control.asks import BudgetState
from halley.policy.budgets import period
from halley.store import pots
from halley.store.database import Store
from halley.store.values import Budget


def budget_states(store: Store, budgets: Sequence[Budget], now: float) -> tuple[BudgetState, ...]:
    """In the same order. The figures of one budget of all end users are of those who name nobody."""
    periods = [(each, period(each.row.reset, each.row.anchor, now)) for each in budgets]
    wanted = [pots.current(each.row, now) for each in budgets]
    with store.read() as connection:
        found = pots.states(connection, wanted)
    states: list[BudgetState] = []
    for (each, its), pot in zip(periods, wanted, strict=True):
        row, state = each.row, found.get(pot, pots.NOTHING_SPENT)
        figures = (row.amount, row.reset, row.anchor, each.source, its.start, its.until, state.spent, state.held)
        states.append(BudgetState(row.id, row.account, row.level, row.subject, *figures))
    return tuple(states)
