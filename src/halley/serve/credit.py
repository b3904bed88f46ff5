"""Credit leases of this relay: who waits for credit, and what was promised. Control owns the balance; this side only spends what it was
lent.

A request whose hold the lease does not cover waits here, in order, for at most `WAIT_S`; then it is refused with 503, never served free.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from halley.errors import Condition, Refused
from halley.serve.hold import Hold
from halley.serve.tables import Account
from halley.store.messages import FromRelay, Granted, LeaseReturned, LeaseState, LeaseWanted

WAIT_S = 2.0


class Borrower(Protocol):
    """A request that waits for credit."""

    account: Account
    hold: Hold
    waits_until: float

    def credited(self) -> bool:
        """Try to take the hold now; False if the lease still does not cover it."""
        ...

    def refused(self, refusal: Refused) -> None: ...


class Credit:
    def __init__(self, send: Callable[[FromRelay], bool], now: Callable[[], float]) -> None:
        self._send = send
        self._now = now
        self._waiting: dict[str, deque[Borrower]] = {}
        self._leases: dict[str, Account] = {}

    def wait(self, borrower: Borrower) -> None:
        """Queue a request for credit and ask control on behalf of everyone who waits for the same account."""
        borrower.waits_until = self._now() + WAIT_S
        account = borrower.account
        queue = self._waiting.get(account.id)
        if queue is None:
            queue = self._waiting[account.id] = deque()
            self._leases[account.id] = account
        queue.append(borrower)
        if len(queue) == 1:
            self._ask(queue)

    def forget(self, borrower: Borrower) -> None:
        """The client left while waiting."""
        queue = self._waiting.get(borrower.account.id)
        if queue is not None and borrower in queue:
            queue.remove(borrower)

    def granted(self, message: Granted) -> None:
        account = self._leases.get(message.account)
        if account is None:
            return
        account.granted = max(account.granted, message.granted)
        queue = self._waiting.get(message.account)
        asked = queue[0] if queue else None
        while queue:
            first = queue[0]
            if first.credited():
                queue.popleft()
            elif first is asked:
                queue.popleft()
                first.refused(
                    Refused(
                        Condition.NO_CREDIT,
                        f'Account "{account.id}" does not have enough credit for this request; add credit or lower the output cap.',
                    )
                )
            else:
                break
        if queue:
            self._ask(queue)
        else:
            self._waiting.pop(message.account, None)

    def recalled(self, account_id: str) -> None:
        """Give back what no open request holds."""
        account = self._leases.get(account_id)
        returned = 0
        if account is not None:
            account.returned += max(account.spendable, 0)
            returned = account.returned
        self._send(LeaseReturned(account_id, returned))

    def reconnected(self) -> None:
        """The link is up again: whoever still waits is asked for anew."""
        for queue in self._waiting.values():
            if queue:
                self._ask(queue)

    def states(self) -> tuple[LeaseState, ...]:
        return tuple(LeaseState(account.id, account.granted, account.returned) for account in self._leases.values())

    def each_second(self, now: float) -> None:
        late: list[Borrower] = []
        for name, queue in list(self._waiting.items()):
            while queue and queue[0].waits_until <= now:
                late.append(queue.popleft())
            if not queue:
                del self._waiting[name]
        for borrower in late:
            borrower.refused(Refused(Condition.OVERLOADED, "Credit could not be checked in time; try again.", retry_after_s=1.0))

    def _ask(self, queue: deque[Borrower]) -> None:
        first = queue[0]
        self._send(LeaseWanted(first.account.id, sum(borrower.hold.need for borrower in queue), first.hold.least))
