"""The settlement table, written a second time: what each ending may cost, from the rates, and against what the upstream did.

It shares no arithmetic with the product: rates are decimals, rounding is `decimal`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, NamedTuple

from tests.harness.books import Row, Tokens
from tests.harness.priced import INPUT_USD, OUTPUT_USD

# An own count is made from bytes, at four to a token until reports have taught better; the simulator's tokens have six and a half.
# So far may it be off, as a share of the output, and by this many tokens.
_OVER, _UNDER = 0.8, 0.35
_TOKENS = 12

# Nano-dollars per unit, by the names that the store has for prices; `tiers`, `service_tiers` (factors), `tools`, `images` and `vendor` hold
# more of them.
Rates = Mapping[str, Any]
# What the simulator's models cost in tests: the decimal strings of the configuration, dollars per million.
PRICED: Rates = {"input": Decimal(INPUT_USD) * 1000, "output": Decimal(OUTPUT_USD) * 1000}
_PARTS = {
    "input": ("cache_read", "cache_write_5m", "cache_write_1h", "audio_in", "image_in"),
    "output": ("reasoning", "audio_out", "image_out"),
}


_UNITS = {
    "per_second": ("milliseconds", 1000),
    "per_minute": ("milliseconds", 60_000),
    "per_character": ("characters", 1),
    "per_page": ("pages", 1),
}


def price(usage: Mapping[str, Any], rates: Rates) -> int:
    """Each line is rounded once, halves up; what has a rate of its own leaves its direction's plain line."""
    reached = [step for step in rates.get("tiers", ()) if usage.get("input", 0) > step["above"]]
    tokens: Rates = {**rates, **(reached[-1] if reached else {})}
    factor = rates.get("service_tiers", {}).get(usage.get("service_tier", ""), Decimal(1))
    total = _round(rates.get("per_request", Decimal(0)))
    for direction, parts in _PARTS.items():
        left = usage.get(direction, 0)
        for part in parts:
            if part in tokens:
                count = min(usage.get(part, 0), left)
                total += _round(tokens[part] * count * factor)
                left -= count
        total += _round(tokens[direction] * left * factor)
    return total + _images(usage, rates) + _beside(usage, rates)


def _images(usage: Mapping[str, Any], rates: Rates) -> int:
    """Those of a size and quality that has a rate, else of a size that has one, and all others."""
    total, others = 0, usage.get("images", 0)
    own = rates.get("images", {})
    for name, count in (usage.get("sizes") or {}).items():
        rate = own.get(name, own.get(name.split("/")[0]))
        if rate is not None:
            total += _round(rate * count)
            others -= count
    return total + _round(rates.get("per_image", Decimal(0)) * max(others, 0))


def _beside(usage: Mapping[str, Any], rates: Rates) -> int:
    """What no service tier makes cheaper: time, characters, pages, calls of tools, units of a vendor."""
    total = sum(_round(rates[key] * usage.get(name, 0) / per) for key, (name, per) in _UNITS.items() if key in rates)
    for kind in ("tools", "vendor"):
        total += sum(_round(rates.get(kind, {}).get(name, Decimal(0)) * count) for name, count in (usage.get(kind) or {}).items())
    return total


def cost(tokens: Tokens) -> int:
    """At the price of the simulator's models."""
    return price(tokens._asdict(), PRICED)


def worst(body: bytes, cap: int) -> int:
    """What is held for a request with an output cap: the worst case of its prompt is a token per byte."""
    return cost(Tokens(len(body), 0)) + cost(Tokens(0, cap))


def _round(amount: Decimal) -> int:
    return int(amount.quantize(Decimal(1), ROUND_HALF_UP))


class Attempt(NamedTuple):
    """One call in the simulator's bill. `reported` is what it said it cost, `generated` what it did."""

    outcome: str
    generated: Tokens
    reported: Tokens | None

    @property
    def cost(self) -> int:
        return cost(self.reported or self.generated)


class Request(NamedTuple):
    """A row of the ledger, and what the upstream did for it. `unread`: the client read less than the upstream generated."""

    id: str
    account: str
    model: str
    hold: int
    ending: str
    status: int
    charge: int
    loss: int
    estimated: bool
    usage: Tokens
    tries: int
    attempts: tuple[Attempt, ...]
    unread: bool

    @property
    def bill(self) -> int:
        return sum(attempt.cost for attempt in self.attempts)

    @property
    def most_counted(self) -> float:
        """The largest output that an own count may come to. Reports teach it, also those of a provider that reports ten times the truth."""
        generated = max((attempt.generated.output for attempt in self.attempts), default=0)
        return (1 + _OVER) * generated * (10 if "wrong-usage" in self.model else 1) + _TOKENS


# ---- from the row alone ----------------------------------------------------------------------------------------------------------------


def check_row(row: Row, rates: Rates) -> None:
    """The row's charge and loss are what its ending, usage and hold say. Raises AssertionError that names it."""
    owed = price(row.detail, rates)
    assert 0 <= row.charge <= row.hold, f"charged more than was held: {row}"
    if row.ending in ("failed", "unusable") or (row.ending == "broke" and not row.charge):
        assert (row.charge, row.loss) == (0, 0 if row.ending == "failed" else owed), f"free, and its cost {owed} is a loss: {row}"
    else:
        assert row.charge == min(owed, row.hold), f"usage and price come to {owed}: {row}"
    if row.ending in ("complete", "unreported", "left", "drained"):
        assert row.loss == owed - row.charge, f"what is above the hold is a loss: {row}"
    assert row.ending != "complete" or not row.estimated, row
    assert row.ending != "unreported" or row.estimated, row


# ---- against the bill ------------------------------------------------------------------------------------------------------------------


def check_bill(request: Request) -> None:
    """The row is what the upstream did. Raises AssertionError that names it."""
    _CHECKS[request.ending](request)


def _priced(request: Request) -> None:
    """The final report; the operator pays the attempts that delivered nothing."""
    last = request.attempts[-1]
    assert last.reported is not None, f"nothing was reported: {request}"
    assert request.usage == last.reported, f"the row's usage is not the report: {request}"
    assert request.charge <= last.cost, f"charged more than was reported: {request}"
    assert all(attempt.outcome != "complete" for attempt in request.attempts[:-1]), f"a second attempt after a whole answer: {request}"


def _estimated(request: Request) -> None:
    """Own count of what was delivered, and it is near the truth."""
    _near(request, request.attempts[-1].generated.output if request.attempts else 0)


def _near(request: Request, generated: int) -> None:
    counted = request.usage.output
    assert counted <= request.most_counted, f"counted {counted} tokens of {generated}: {request}"
    assert counted >= (1 - _UNDER) * generated - _TOKENS or request.unread, f"counted {counted} tokens of {generated}: {request}"


def _left(request: Request) -> None:
    last = request.attempts[-1] if request.attempts else None
    if request.estimated:
        _estimated(request)
    elif last is not None and last.reported is None:
        # The report was on its way before the client left, and the simulator notes one only when it has said its last word.
        assert request.usage == last.generated, f"the row's usage is not all that was generated: {request}"
    else:
        _priced(request)


def _free(request: Request) -> None:
    assert all(attempt.outcome != "complete" or request.status == 499 for attempt in request.attempts), f"delivered and free: {request}"


def _lost(request: Request) -> None:
    if request.estimated and request.ending == "broke":
        _near(request, request.attempts[-1].generated.output)


def _crashed(request: Request) -> None:
    """The last progress record: never more than was generated, but for the error of an own count."""
    assert request.usage.output <= request.most_counted, f"charged for more than was generated: {request}"


_CHECKS: Mapping[str, Callable[[Request], None]] = {
    "complete": _priced,
    "unreported": _estimated,
    "left": _left,
    "drained": _left,
    "failed": _free,
    "unusable": _lost,
    "broke": _lost,
    "crash": _crashed,
    "expired": _crashed,
}
