"""Credit leases of this relay: who waits for credit, and what was promised. Control owns the balance; this side only spends what it was
lent.

A request whose hold the lease does not cover waits here, in order, for at most `WAIT_S`; then it is refused with 503, never served free.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from halley.errors import Condition, Refused
from halley.money import NanoDollars, show
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

    def made_do(self) -> bool:
        """Try to go with less, because there is no more credit than the lease has; False if that is too little."""
        ...

    def refused(self, refusal: Refused) -> None: ...


class Queue:
    """Those who wait for credit of one account. `asked` is whom the open question was put for: its answer says nothing about the others.

    `lacking` is what was asked for, `granted` and `returned` are the lease's totals of that moment.
    """

    __slots__ = ("account", "asked", "granted", "lacking", "returned", "waiting")

    def __init__(self, account: Account) -> None:
        self.account = account
        self.waiting: deque[Borrower] = deque()
        self.asked: Borrower | None = None
        self.lacking: NanoDollars = 0
        self.granted: NanoDollars = 0
        self.returned: NanoDollars = 0

    @property
    def exhausted(self) -> bool:
        """Whether the answer says that the account has no more. Not so when credit was recalled from here after the question was put."""
        account = self.account
        return account.granted - self.granted < self.lacking and account.returned == self.returned


class Credit:
    def __init__(self, send: Callable[[FromRelay], bool], now: Callable[[], float]) -> None:
        self._send = send
        self._now = now
        # Every account that ever borrowed here: its lease stands when nobody waits any more.
        self._queues: dict[str, Queue] = {}

    def wait(self, borrower: Borrower) -> None:
        """Queue a request for credit and ask control on behalf of everyone who waits for the same account."""
        borrower.waits_until = self._now() + WAIT_S
        account = borrower.account
        queue = self._queues.get(account.id)
        if queue is None:
            queue = self._queues[account.id] = Queue(account)
        queue.waiting.append(borrower)
        self._ask(queue)

    def forget(self, borrower: Borrower) -> None:
        """The client left while waiting."""
        queue = self._queues.get(borrower.account.id)
        if queue is not None and borrower in queue.waiting:
            queue.waiting.remove(borrower)

    def granted(self, message: Granted) -> None:
        queue = self._queues.get(message.account)
        if queue is None:
            return
        account, waiting = queue.account, queue.waiting
        account.lend(message.granted)
        asked, queue.asked = queue.asked, None
        # Control has said that there is not so much: whoever needs as much is refused with the one it was said to.
        missing: NanoDollars | None = asked.hold.least if asked is not None and queue.exhausted else None
        while waiting:
            first = waiting[0]
            if first.credited():
                waiting.popleft()
            elif missing is None or (first is not asked and (asked in waiting or first.hold.least < missing)):
                break
            elif first.made_do():
                waiting.popleft()
            else:
                waiting.popleft()
                first.refused(
                    Refused(
                        Condition.NO_CREDIT,
                        f'This request may cost up to {show(first.hold.least)} USD, more than the credit of account "{account.id}"; '
                        "add credit or lower the output cap.",
                    )
                )
        self._ask(queue)

    def recalled(self, account_id: str) -> None:
        """Give back what no open request holds."""
        queue = self._queues.get(account_id)
        returned = 0
        if queue is not None:
            returned = queue.account.give_back()
        self._send(LeaseReturned(account_id, returned))

    def reconnected(self) -> None:
        """The link is up again: what was asked on the old one gets no answer, and whoever still waits is asked for anew."""
        for queue in self._queues.values():
            queue.asked = None
            self._ask(queue)

    def states(self) -> tuple[LeaseState, ...]:
        leases = [queue.account for queue in self._queues.values()]
        return tuple(LeaseState(account.id, account.granted, account.returned) for account in leases)

    def each_second(self, now: float) -> None:
        late: list[Borrower] = []
        for queue in self._queues.values():
            while queue.waiting and queue.waiting[0].waits_until <= now:
                late.append(queue.waiting.popleft())
        for borrower in late:
            borrower.refused(Refused(Condition.OVERLOADED, "Credit could not be checked in time; try again.", retry_after_s=1.0))

    def _ask(self, queue: Queue) -> None:
        """One question at a time for an account, so that an answer belongs to the question that is open."""
        if queue.asked is None and queue.waiting:
            first, account = queue.waiting[0], queue.account
            # What the lease still covers is not asked for again: it may be the last that the account has.
            own = max(account.spendable, 0)
            lacking = sum(borrower.hold.need for borrower in queue.waiting) - own
            if self._send(LeaseWanted(account.id, lacking, max(first.hold.least - own, 0))):
                queue.asked, queue.lacking = first, lacking
                queue.granted, queue.returned = account.granted, account.returned
