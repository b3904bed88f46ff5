"""What callers of the account's API write into fields of more than one question, checked: names, lists, moments, budgets of keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from halley.control import plan
from halley.errors import Condition, Refused
from halley.money import NanoDollars, usd
from halley.policy.budgets import NONE, read_reset

Names = tuple[str, ...] | None
LAST = 1e11  # Unix seconds; what is later was meant as something else


class BudgetWanted(msgspec.Struct, frozen=True):
    """What a key may spend in a period. `usd` is a decimal string; `anchor` is an ISO date or time at which a period begins, or Unix
    seconds."""

    usd: str
    reset: str = NONE
    anchor: str | float | None = None

    def read(self, prefix: str = "budget.") -> tuple[NanoDollars, str, int | None]:
        """Amount, reset and anchor. Raises Refused that names the field, behind `prefix`."""
        anchor = moment_of(f"{prefix}anchor", self.anchor)
        return amount(f"{prefix}usd", self.usd), reset(f"{prefix}reset", self.reset), None if anchor is None else int(anchor)


def named(name: str) -> str:
    """Raises Refused."""
    if not name.strip() or len(name) > 100 or not name.isprintable():
        raise Refused(Condition.INVALID, "name must be 1 to 100 printable characters.", param="name")
    return name


def checked(param: str, check: Callable[[Any], Names], names: Names) -> Names:
    """Raises Refused."""
    try:
        return check(names)
    except ValueError as fault:
        raise Refused(Condition.INVALID, f"{fault}.", param=param) from None


def models(names: Names) -> Names:
    """Names as they are. Raises ValueError."""
    for name in names or ():
        if not name.isprintable() or not 0 < len(name) <= 256:
            raise ValueError("a model's name has 1 to 256 printable characters")
    return names


def moment_of(param: str, value: str | float | None) -> float | None:
    """A moment as a client writes it, in Unix seconds. Raises Refused."""
    try:
        found = plan.expiry(value) if isinstance(value, str) else value
    except ValueError as fault:
        raise Refused(Condition.INVALID, f"{fault}.", param=param) from None
    if found is not None and not 0 <= found <= LAST:
        raise Refused(Condition.INVALID, f"{param} must lie between 1970 and 5138.", param=param)
    return found


def amount(param: str, text: str) -> NanoDollars:
    """Raises Refused."""
    try:
        found = usd(text)
        if found < 0:
            raise ValueError("it is below zero")
    except ValueError as fault:
        raise Refused(Condition.INVALID, f"{param} must be an amount such as 12.50: {fault}.", param=param) from None
    return found


def reset(param: str, text: str) -> str:
    """Raises Refused."""
    try:
        return read_reset(text)
    except ValueError as fault:
        raise Refused(Condition.INVALID, f"{fault}.", param=param) from None
