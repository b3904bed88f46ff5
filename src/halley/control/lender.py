"""Credit that relays borrow: of accounts and of the pots of budgets, lent, told of, and taken back.

Every method is one transaction and leaves both sides' totals true, whatever a crash does to the message that told of it.
"""

from __future__ import annotations

from collections.abc import Callable

from halley import crash
from halley.money import NanoDollars
from halley.policy.budgets import Pot
from halley.store import ledger, lending, nodes, pots
from halley.store.database import Store
from halley.store.messages import Granted, LeaseAsked, LeaseState, LeaseTold, LeaseWanted, Source


class Lender:
    """Used from one thread at a time, as the desk is. `now` is Unix seconds."""

    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self._store = store
        self._now = now

    def meet(self, relay: str, states: tuple[LeaseState, ...]) -> None:
        """A relay said hello: of both sides' totals the greater ones are true."""
        at = self._now()
        with self._store.begin() as connection:
            if self._store.node != nodes.ALONE:
                nodes.introduce(connection, relay, self._store.node)
            for state in states:
                if isinstance(state.source, Pot):
                    pots.meet(connection, state.source, relay, state.granted, state.returned)
                    continue
                known = ledger.lease(connection, state.source, relay)
                missing = state.granted - (known.granted if known is not None else 0)
                if missing > 0:
                    ledger.grant(connection, state.source, relay, missing, at)
                ledger.take_back(connection, state.source, relay, state.returned, at)

    def lend(self, relay: str, wanted: LeaseWanted) -> Granted | None:
        """The leases' totals after lending what account and pots have for what is needed; None when one of them covers it only in part or
        not at all, and then nothing was lent."""
        with self._store.begin() as connection:
            amounts = lending.in_full(connection, wanted)
            granted = lending.grant(connection, relay, wanted, amounts, self._now()) if amounts is not None else None
            crash.here("control.lease.uncommitted")
        crash.here("control.lease.committed")
        return granted

    def lend_rest(self, relay: str, wanted: LeaseWanted) -> Granted:
        """As `lend`, but from each with less than the need if that is at least the least, else the total as it was."""
        with self._store.begin() as connection:
            return lending.grant(connection, relay, wanted, lending.in_part(connection, wanted), self._now())

    def tell(self, relay: str, asked: LeaseAsked) -> LeaseTold:
        """How the relay's leases of pots stand."""
        with self._store.begin() as connection:
            return lending.told(connection, relay, asked)

    def take_back(self, source: Source, relay: str, returned: NanoDollars) -> None:
        with self._store.begin() as connection:
            if isinstance(source, Pot):
                pots.take_back(connection, source, relay, returned)
            else:
                ledger.take_back(connection, source, relay, returned, self._now())

    def lenders(self, wanted: LeaseWanted, but: str) -> list[tuple[str, Source]]:
        """Other relays that hold credit of what more is wanted of."""
        with self._store.read() as connection:
            return [found for found in lending.lenders(connection, wanted) if found[0] != but]
