"""How much is lent at once to a relay: of an account, and of the pots of all budgets that stand over the same requests."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from halley.money import NanoDollars
from halley.store import customers, ledger, pots
from halley.store.messages import Granted, LeaseAsked, LeaseState, LeaseTold, LeaseWanted, Source

Amounts = Sequence[NanoDollars]
"""What to lend of the account and then of each pot."""


def in_full(connection: Connection, wanted: LeaseWanted) -> Amounts | None:
    """Enough of each; None when one of them has not so much."""
    amounts: list[NanoDollars] = []
    for need, credit in _needs(connection, wanted):
        amount = need if credit is None else ledger.size_of_grant(credit, need, need)
        if need and not amount:
            return None
        amounts.append(amount)
    return amounts


def in_part(connection: Connection, wanted: LeaseWanted) -> Amounts:
    """Of each what it has, if that still helps."""
    leasts = (wanted.least, *(each.least for each in wanted.pots))
    sizes = zip(_needs(connection, wanted), leasts, strict=True)
    return [need if credit is None else ledger.size_of_grant(credit, need, least) if need else 0 for (need, credit), least in sizes]


def grant(connection: Connection, relay: str, wanted: LeaseWanted, amounts: Amounts, at: float) -> Granted:
    account = wanted.account
    if amounts[0]:
        total = ledger.grant(connection, account, relay, amounts[0], at)
    else:
        known = ledger.lease(connection, account, relay)
        total = known.granted if known is not None else 0
    lent = {each.pot: amount for each, amount in zip(wanted.pots, amounts[1:], strict=True)}
    totals = pots.grant(connection, relay, {pot: amount for pot, amount in lent.items() if amount})
    others = pots.leases(connection, relay, [pot for pot, amount in lent.items() if not amount])
    totals |= {pot: known.granted for pot, known in others.items()}
    return Granted(account, total, tuple((pot, totals.get(pot, 0)) for pot in lent))


def told(connection: Connection, relay: str, asked: LeaseAsked) -> LeaseTold:
    """How the relay's leases of pots stand."""
    known = pots.leases(connection, relay, asked.pots)
    states = [LeaseState(pot, known[pot].granted, known[pot].returned) if pot in known else LeaseState(pot, 0, 0) for pot in asked.pots]
    return LeaseTold(asked.account, tuple(states))


def lenders(connection: Connection, wanted: LeaseWanted) -> list[tuple[str, Source]]:
    """Relays that hold what more is wanted of, with what it is."""
    found: list[tuple[str, Source]] = []
    if wanted.need:
        found += [(each.relay, wanted.account) for each in ledger.open_leases(connection, wanted.account) if each.outstanding > 0]
    needed = [each.pot for each in wanted.pots if each.need]
    return found + [(each.relay, each.pot) for each in pots.lenders(connection, needed) if each.outstanding > 0]


def _needs(connection: Connection, wanted: LeaseWanted) -> list[tuple[NanoDollars, NanoDollars | None]]:
    """What is needed of each, and what it has; None where nothing bounds it."""
    # An account that became unlimited a moment ago may still be asked for: its relay learns of it with the next snapshot.
    unlimited = not wanted.need or customers.is_unlimited(connection, wanted.account)
    credit = None if unlimited else ledger.balance(connection, ledger.available(wanted.account))
    left = pots.left(connection, [each.pot for each in wanted.pots if each.need])
    return [(wanted.need, credit), *((each.need, left.get(each.pot)) for each in wanted.pots)]
