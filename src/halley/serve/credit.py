"""Credit leases of this relay: who waits for credit, and what was promised. Control owns the balance and the pots of budgets; this side
only spends what it was lent.

A request whose hold the lease does not cover waits here, in order, for at most `WAIT_S`; then it is refused with 503, never served free.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Set
from typing import NamedTuple, Protocol

from halley.errors import Condition, Refused
from halley.money import NanoDollars, show
from halley.policy.budgets import Pot
from halley.serve.budgets import Budgets, PotLease, is_over
from halley.serve.hold import Hold
from halley.serve.tables import Account
from halley.store.messages import (
    FromRelay,
    Granted,
    LeaseAsked,
    LeaseReturned,
    LeaseState,
    LeaseTold,
    LeaseWanted,
    PotWanted,
    Source,
)

WAIT_S = 2.0
MOST_POTS = 10_000
TIDY_S = 60.0
"""So often the pots of end users that were not used since then are given back and forgotten, once a relay has more than that."""


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


class Lack(NamedTuple):
    """What an open question asked of one lease, and the lease's totals of that moment."""

    lease: Account | PotLease
    lacking: NanoDollars
    granted: NanoDollars
    returned: NanoDollars

    @property
    def exhausted(self) -> bool:
        """Whether the answer says that there is no more. Not so when credit was recalled from here after the question was put."""
        lease = self.lease
        return lease.granted - self.granted < self.lacking and lease.returned == self.returned


class Queue:
    """Those who wait for credit of one account under the same budgets. `asked` is whom the open question was put for: its answer says
    nothing about the others. `lacks` is what was asked for."""

    __slots__ = ("account", "asked", "lacks", "pots", "waiting")

    def __init__(self, account: Account, pots: tuple[PotLease, ...]) -> None:
        self.account = account
        self.pots = pots
        self.waiting: deque[Borrower] = deque()
        self.asked: Borrower | None = None
        self.lacks: tuple[Lack, ...] = ()

    @property
    def name(self) -> tuple[str, tuple[Pot, ...]]:
        return self.account.id, tuple(pot.id for pot in self.pots)

    @property
    def exhausted(self) -> Account | PotLease | None:
        """The first of the leases, in the order of levels, that has no more."""
        return next((lack.lease for lack in self.lacks if lack.exhausted), None)


class Credit:
    """`wall` tells Unix time: by it pots end. `budgets` are those of this relay; `held` tells which pots open requests hold of."""

    def __init__(
        self,
        send: Callable[[FromRelay], bool],
        now: Callable[[], float],
        wall: Callable[[], float] = time.time,
        budgets: Budgets | None = None,
        held: Callable[[], Set[Pot]] = frozenset,
    ) -> None:
        self._send = send
        self._now = now
        self._wall = wall
        self._budgets = budgets or Budgets()
        self._held = held
        self._tidied = 0.0
        self._queues: dict[tuple[str, tuple[Pot, ...]], Queue] = {}
        # Whatever was borrowed here: a lease stands when nobody waits any more.
        self._leases: dict[Source, Account | PotLease] = {}

    def wait(self, borrower: Borrower) -> None:
        """Queue a request for credit and ask control on behalf of everyone who waits for the same."""
        borrower.waits_until = self._now() + WAIT_S
        queue = self._queue(borrower)
        if queue is None:
            account, pots = borrower.account, borrower.hold.pots
            queue = Queue(account, pots)
            self._queues[queue.name] = queue
            self._leases[account.id] = account
            self._leases.update({pot.id: pot for pot in pots})
        queue.waiting.append(borrower)
        self._ask(queue)

    def forget(self, borrower: Borrower) -> None:
        """The client left while waiting, for this or before it came to this."""
        for queue in self._queues.values():
            if queue.account is borrower.account and borrower in queue.waiting:
                queue.waiting.remove(borrower)

    def granted(self, message: Granted) -> None:
        queue = self._queues.get((message.account, tuple(pot for pot, _ in message.pots)))
        if queue is None:
            return
        queue.account.lend(message.granted)
        for pot, (_, total) in zip(queue.pots, message.pots, strict=True):
            pot.lend(total)
            pot.doubtful = False
        waiting = queue.waiting
        asked, queue.asked = queue.asked, None
        # Control has said that there is not so much: whoever needs as much is refused with the one it was said to.
        short = queue.exhausted if asked is not None else None
        missing: NanoDollars | None = asked.hold.least if asked is not None and short is not None else None
        while waiting:
            first = waiting[0]
            if first.credited():
                waiting.popleft()
            elif missing is None or short is None or (first is not asked and (asked in waiting or first.hold.least < missing)):
                break
            elif first.made_do():
                waiting.popleft()
            else:
                waiting.popleft()
                first.refused(_refusal(short, first.hold.least))
        self._ask(queue)
        self._drop(queue)

    def told(self, message: LeaseTold) -> None:
        """Control has said how forgotten leases stand: now more of them can be wanted."""
        queue = self._queues.get((message.account, tuple(state.source for state in message.leases if isinstance(state.source, Pot))))
        if queue is None:
            return
        for pot, state in zip(queue.pots, message.leases, strict=True):
            pot.learn(state.granted, state.returned)
        queue.asked = None
        self._ask(queue)
        self._drop(queue)

    def recalled(self, source: Source) -> None:
        """Give back what no open request holds."""
        lease = self._leases.get(source)
        self._send(LeaseReturned(source, lease.give_back() if lease is not None else 0))

    def reviewed(self) -> None:
        """There is a new snapshot: of budgets that were lowered nothing is kept that no open request holds."""
        for source, lease in self._leases.items():
            if isinstance(lease, PotLease) and lease.lowered:
                lease.lowered = not self._send(LeaseReturned(source, lease.give_back()))

    def reconnected(self) -> None:
        """The link is up again: what was asked on the old one gets no answer, and whoever still waits is asked for anew."""
        for queue in self._queues.values():
            if queue.asked is not None:
                for pot in queue.pots:
                    pot.doubtful = True
            queue.asked = None
            self._ask(queue)

    def states(self) -> tuple[LeaseState, ...]:
        known = ((source, lease) for source, lease in self._leases.items() if not isinstance(lease, PotLease) or lease.known)
        return tuple(LeaseState(source, lease.granted, lease.returned) for source, lease in known)

    def each_second(self, now: float) -> None:
        late: list[Borrower] = []
        for queue in tuple(self._queues.values()):
            while queue.waiting and queue.waiting[0].waits_until <= now:
                late.append(queue.waiting.popleft())
            self._drop(queue)
        for borrower in late:
            borrower.refused(Refused(Condition.OVERLOADED, "Credit could not be checked in time; try again.", retry_after_s=1.0))
        wall = self._wall()
        for source in [source for source, lease in self._leases.items() if isinstance(lease, PotLease) and is_over(lease, wall)]:
            del self._leases[source]
        if now >= self._tidied + TIDY_S:
            self._tidied = now
            if len(self._leases) + self._budgets.size > MOST_POTS:
                self._tidy()

    def _tidy(self) -> None:
        """There may be as many pots as there are end users, and of a budget that never starts anew none of them is ever over."""
        busy = {pot.id for queue in self._queues.values() for pot in queue.pots}.union(self._held())
        for source, lease in list(self._leases.items()):
            if not isinstance(lease, PotLease) or not lease.id.user or lease.id in busy:
                continue
            if lease.used or lease.doubtful or not lease.known:
                lease.used = False
            elif self._send(LeaseReturned(source, lease.give_back())):
                del self._leases[source]
                self._budgets.forget(lease.id)
        self._budgets.tidy(self._leases)

    def _queue(self, borrower: Borrower) -> Queue | None:
        return self._queues.get((borrower.account.id, tuple(pot.id for pot in borrower.hold.pots)))

    def _drop(self, queue: Queue) -> None:
        """One that is for somebody's budgets is there for as long as somebody waits: there may be as many as there are end users."""
        if queue.pots and not queue.waiting and queue.asked is None:
            self._queues.pop(queue.name, None)

    def _ask(self, queue: Queue) -> None:
        """One question at a time for a queue, so that an answer belongs to the question that is open."""
        if queue.asked is None and queue.waiting:
            first, account = queue.waiting[0], queue.account
            if not all(pot.known for pot in queue.pots):
                if self._send(LeaseAsked(account.id, tuple(pot.id for pot in queue.pots))):
                    queue.asked, queue.lacks = first, ()
                return
            all_need, least = sum(borrower.hold.need for borrower in queue.waiting), first.hold.least
            lacks: list[Lack] = []
            wanted: list[tuple[NanoDollars, NanoDollars]] = []
            for lease in (account, *queue.pots):
                # What the lease still covers is not asked for again: it may be the last that there is.
                own = max(lease.spendable, 0)
                lacking = max(all_need - own, 0) if lease is not account or not account.unlimited else 0
                lacks.append(Lack(lease, lacking, lease.granted, lease.returned))
                wanted.append((lacking, max(least - own, 0) if lacking else 0))
            pots = tuple(PotWanted(pot.id, *figures) for pot, figures in zip(queue.pots, wanted[1:], strict=True))
            if self._send(LeaseWanted(account.id, *wanted[0], pots)):
                queue.asked, queue.lacks = first, tuple(lacks)


def _refusal(short: Account | PotLease, least: NanoDollars) -> Refused:
    if isinstance(short, PotLease):
        return short.used_up(show(least))
    return Refused(
        Condition.NO_CREDIT,
        f'This request may cost up to {show(least)} USD, more than the credit of account "{short.id}"; add credit or lower the output cap.',
    )
