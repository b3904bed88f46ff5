"""The ledger and a tiny model of it, side by side: a state machine whose every step does the same to both, and then compares them.

Steps are what relays, customers, payment services, operators and accidents do. A test takes few of them, `script/soak books` many.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import select

from halley.chat.usage import Usage
from halley.policy import pricing
from halley.policy.budgets import Pot
from halley.store import budgets, customers, fold, ledger, lending, payments, pots, prices, schema
from halley.store.customers import Short, Taken
from halley.store.database import Store, open_store
from halley.store.journal import End, Progress, Start
from halley.store.messages import LeaseWanted, PotWanted
from halley.store.replay import Position, Read
from halley.store.verify import verify
from tests.harness.postgres import Rows
from tests.store.conftest import MODEL, PRICE

PREPAID, UNLIMITED = "acme", "free"
# Tokens of an answer, and what its hold is for: a charge is never beyond it.
TOKENS = st.integers(1, 5)
MOST_TOKENS = 5
HOLD = pricing.charge(PRICE, Usage(0, MOST_TOKENS))
BUDGETED = (PREPAID, "account", PREPAID)
BUDGET = 10**9
ORDERS = {f"order-{number}": 10**6 * (number + 1) for number in range(3)}
RANKS = {"pending": 0, "failed": 1, "paid": 2, "refunded": 3}


def _new_home() -> Path:
    """In memory where there is a file system for that: what a disk takes to sync is not asked here."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="halley-books-", dir=memory if os.access(memory, os.W_OK) else None))


class Template:
    """A home with a store of two accounts, made once for all runs. A database on a server is one for all, and is put back into this
    state: a new one takes the server ten times as long."""

    def __init__(self, url: str) -> None:
        self.home = _new_home()
        atexit.register(shutil.rmtree, self.home)
        self._url = url
        store = self.open(self.home)
        with store.begin() as connection:
            customers.create_account(connection, PREPAID, 0.0, unlimited=False)
            customers.create_account(connection, UNLIMITED, 0.0, unlimited=True)
            prices.remember(connection, (MODEL,), 0.0)
            budgets.set_budget(connection, BUDGETED, BUDGET, "none", None, 0.0)
        store.close()
        self._rows = Rows(url) if url else None

    def copy(self) -> Path:
        """A home of its own. Whatever else has the database must be closed."""
        home = _new_home()
        shutil.copytree(self.home, home, dirs_exist_ok=True)
        if self._rows is not None:
            self._rows.put_back()
        return home

    def open(self, home: Path) -> Store:
        return open_store(self._url, home, "", {})


@cache
def _template(url: str) -> Template:
    return Template(url)


@dataclass
class Request:
    account: str
    open: bool = True  # at its relay
    known: bool = False  # in the ledger
    ended: bool = False  # in the ledger
    progress: int = 0  # the charge of the last one that was folded


@dataclass
class Relay:
    """A relay and what it wrote. `free` is the credit it has and has set aside for nothing; `lent` is what the ledger holds for it.
    `may_free` and `may` are the same of the budget."""

    name: str
    free: int = 0
    lent: int = 0
    may_free: int = 0
    may: int = 0
    returned: int = 0
    written: list[Start | Progress | End] = field(default_factory=list[Start | Progress | End])
    folded: int = 0
    requests: dict[str, Request] = field(default_factory=dict[str, Request])

    def running(self) -> list[str]:
        return [name for name, each in self.requests.items() if each.open]


class Books(RuleBasedStateMachine):
    """`out` is what relays were lent of the budget and have not given back, whatever of it they have `spent`. Where there is a `url`,
    the store is in that database, which is nobody else's."""

    url: ClassVar[str] = ""

    def __init__(self) -> None:
        super().__init__()
        self.template = _template(self.url)
        self.home = self.template.copy()
        self.store = self.template.open(self.home)
        with self.store.read() as connection:
            self.pot = Pot(budgets.snapshot_rows(connection)[0].id, 0)
        self.now = 1.0
        self.changed = False  # since the store was opened
        self.count = 0
        self.relays = [Relay("relay-0-1"), Relay("relay-1-1")]
        self.buried: list[Relay] = []
        self.orders: dict[str, str] = {}
        self.credit = self.available = self.revenue = self.owed = self.loss = 0
        self.budget, self.out, self.spent = BUDGET, 0, 0

    def teardown(self) -> None:
        try:
            with self.store.begin() as connection:
                assert verify(connection).differences == ()
        finally:
            self.store.close()
            shutil.rmtree(self.home)

    @initialize(credit=st.integers(10**8, 10**9), needs=st.tuples(st.integers(10**6, 10**7), st.integers(10**6, 10**7)))
    def open(self, credit: int, needs: tuple[int, int]) -> None:
        self.give(credit)
        for which, need in enumerate(needs):
            self.borrow(which, need)

    # -- money that comes and goes ----------------------------------------------------------------------------------------------------

    @rule(amount=st.integers(-(10**7), 10**8))
    def give(self, amount: int) -> None:
        if self.available + amount < 0 and amount < 0:
            with pytest.raises(Short), self.store.begin() as connection:
                customers.add_credit(connection, PREPAID, amount, self.tick())
            return
        with self.store.begin() as connection:
            customers.add_credit(connection, PREPAID, amount, self.tick())
        self.credit += amount
        self.available += amount

    @rule(order=st.sampled_from(sorted(ORDERS)), state=st.sampled_from(sorted(RANKS)))
    def pay(self, order: str, state: payments.State) -> None:
        amount, before = ORDERS[order], self.orders.get(order, "pending")
        told = payments.Order(order, "shop", PREPAID, amount, state)
        if state == "refunded" and before != "refunded" and (before != "paid" or self.available < amount):
            with pytest.raises(Taken if before != "paid" else Short), self.store.begin() as connection:
                payments.tell(connection, told, self.tick())
            return
        later = RANKS[state] > RANKS[before]
        with self.store.begin() as connection:
            assert payments.tell(connection, told, self.tick()) is later
        if later:
            moved = {"paid": amount, "refunded": -amount}.get(state, 0)
            self.credit += moved
            self.available += moved
            self.orders[order] = state

    # -- relays -----------------------------------------------------------------------------------------------------------------------

    @rule(which=st.integers(0, 1), need=st.integers(1, 10**7))
    def borrow(self, which: int, need: int) -> None:
        relay = self.relays[which]
        with self.store.begin() as connection:
            wanted = LeaseWanted(PREPAID, need, need, (PotWanted(self.pot, need, need),))
            amounts = lending.in_full(connection, wanted)
            assert (amounts is not None) == (need <= min(self.available, self.budget - self.out))
            if amounts is None:
                return
            lending.grant(connection, relay.name, wanted, amounts, self.tick())
        credit, may = amounts
        assert need <= credit <= self.available
        assert need <= may <= self.budget - self.out
        self.available -= credit
        self.out += may
        relay.free += credit
        relay.lent += credit
        relay.may_free += may
        relay.may += may

    @rule(which=st.integers(0, 1), share=st.integers(0, 100), late=st.booleans())
    def give_back(self, which: int, share: int, late: bool) -> None:
        """What is told again, and what was told before it and comes `late`, changes nothing."""
        relay = self.relays[which]
        amount = min(relay.free, relay.may_free) * share // 100
        before, relay.returned = relay.returned, relay.returned + amount
        for told in (relay.returned, relay.returned, before)[: 3 if late else 1]:
            with self.store.begin() as connection:
                ledger.take_back(connection, PREPAID, relay.name, told, self.tick())
                pots.take_back(connection, self.pot, relay.name, told)
        relay.free -= amount
        relay.lent -= amount
        relay.may_free -= amount
        relay.may -= amount
        self.available += amount
        self.out -= amount

    @rule(amount=st.integers(BUDGET // 100, 2 * BUDGET))
    def budget_anew(self, amount: int) -> None:
        """What is lent beyond a smaller budget stays lent."""
        with self.store.begin() as connection:
            budgets.set_budget(connection, BUDGETED, amount, "none", None, self.tick())
        self.budget = amount

    @precondition(lambda self: self.changed)
    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = self.template.open(self.home)
        self.changed = False

    @rule(which=st.integers(0, 1), account=st.sampled_from([PREPAID, UNLIMITED]), count=st.integers(1, 4))
    def begin(self, which: int, account: str, count: int) -> None:
        relay = self.relays[which]
        if account == PREPAID and min(relay.free, relay.may_free) < HOLD * count:
            self.borrow(which, HOLD * count)
        for _ in range(count):
            self.begin_one(relay, account)

    def begin_one(self, relay: Relay, account: str) -> None:
        leased = account == PREPAID
        if leased and min(relay.free, relay.may_free) < HOLD:
            return
        relay.free -= HOLD * leased
        relay.may_free -= HOLD * leased
        held_of = (self.pot,) if leased else ()
        self.count += 1
        name = f"req_{self.count:026d}"
        relay.requests[name] = Request(account)
        relay.written.append(
            Start(name, self.tick(), account, "key_1", "chat", MODEL.id, MODEL.version, HOLD, leased, True, MOST_TOKENS, pots=held_of)
        )

    @rule(which=st.integers(0, 1), tokens=TOKENS)
    def go_on(self, which: int, tokens: int) -> None:
        relay = self.relays[which]
        usage = Usage(0, tokens)
        relay.written += [Progress(name, self.tick(), "p", usage, pricing.charge(PRICE, usage)) for name in relay.running()]

    @rule(which=st.integers(0, 1), count=st.integers(1, 4), tokens=TOKENS, lost=st.booleans())
    def end(self, which: int, count: int, tokens: int, lost: bool) -> None:
        relay = self.relays[which]
        usage = Usage(0, tokens)
        price = pricing.charge(PRICE, usage)
        charge, loss = (0, price) if lost else (price, 0)
        ending = "broke" if lost else "complete"
        for name in relay.running()[:count]:
            request = relay.requests[name]
            relay.written.append(End(name, self.tick(), ending, 200, "p", usage, False, charge, loss, 1, 1, 1, 0.1, 0.2, 0.3))
            request.open = False
            relay.free += (HOLD - charge) * (request.account == PREPAID)
            relay.may_free += (HOLD - charge) * (request.account == PREPAID)

    @rule(which=st.integers(0, 1), account=st.sampled_from([PREPAID, UNLIMITED]), count=st.integers(1, 4), tokens=TOKENS)
    def serve(self, which: int, account: str, count: int, tokens: int) -> None:
        self.begin(which, account, count)
        self.end(which, count, tokens, lost=False)

    @rule(which=st.integers(0, 1), count=st.integers(1, 8))
    def fold(self, which: int, count: int) -> None:
        relay = self.relays[which]
        self.book(relay, relay.folded, min(relay.folded + count, len(relay.written)))

    @rule(which=st.integers(0, 1), count=st.integers(1, 8))
    def fold_again(self, which: int, count: int) -> None:
        """What was committed comes again, because its place was lost."""
        relay = self.relays[which]
        self.book(relay, max(relay.folded - count, 0), relay.folded)

    @rule(which=st.integers(0, 1))
    def expire(self, which: int) -> None:
        """Holds that nothing was heard of. Their relay says nothing more of them, and keeps what it set aside."""
        relay = self.relays[which]
        with self.store.begin() as connection:
            fold.expire(connection, relay.name, self.now + 1, self.tick())
        for request in relay.requests.values():
            if request.known and not request.ended:
                self.charge(relay, request, request.progress, 0)
                request.open = False

    @rule(which=st.integers(0, 1))
    def die(self, which: int) -> None:
        relay = self.relays[which]
        self.book(relay, relay.folded, len(relay.written))
        self.bury(which)

    @rule(which=st.integers(0, 1), account=st.sampled_from([PREPAID, UNLIMITED]), count=st.integers(1, 4), tokens=TOKENS)
    def be_given_up(self, which: int, account: str, count: int, tokens: int) -> None:
        """Taken for dead with a journal that is not read to its end; that comes later."""
        self.serve(which, account, count, tokens)
        self.buried.append(self.relays[which])
        self.bury(which)

    @precondition(lambda self: self.buried)
    @rule()
    def come_back(self) -> None:
        relay = self.buried.pop()
        self.book(relay, relay.folded, len(relay.written))
        self.close(relay)

    # -- the model --------------------------------------------------------------------------------------------------------------------

    def tick(self) -> float:
        self.now += 1.0
        self.changed = True
        return self.now

    def bury(self, which: int) -> None:
        relay = self.relays[which]
        self.close(relay)
        self.count += 1
        self.relays[which] = Relay(f"relay-{which}-{self.count + 1}")

    def close(self, relay: Relay) -> None:
        with self.store.begin() as connection:
            fold.end_of_relay(connection, relay.name, self.tick())
        for request in relay.requests.values():
            if request.known and not request.ended:
                self.charge(relay, request, request.progress, 0)
        self.available += relay.lent
        self.out -= relay.may
        relay.lent = relay.may = 0

    def book(self, relay: Relay, first: int, last: int) -> None:
        records = relay.written[first:last]
        place = max(relay.folded, last)
        with self.store.begin() as connection:
            fold.fold(connection, relay.name, Read(tuple(records), (), Position(place, 0, place)), self.tick())
        relay.folded = place
        ends = {each.request: each for each in records if isinstance(each, End)}
        for record in records:
            request = relay.requests[record.request]
            if isinstance(record, Start):
                request.known = True
            elif isinstance(record, Progress) and record.request not in ends and not request.ended:
                request.progress = record.charge
        for name, end in ends.items():
            if not relay.requests[name].ended:
                self.charge(relay, relay.requests[name], end.charge, end.loss)

    def charge(self, relay: Relay, request: Request, charge: int, loss: int) -> None:
        request.ended = True
        self.revenue += charge
        self.loss += loss
        if request.account == UNLIMITED:
            self.owed += charge
            return
        relay.lent -= charge
        # What a lease that was given back does not cover is the account's all the same.
        self.available += min(relay.lent, 0)
        relay.lent = max(relay.lent, 0)
        relay.may -= charge
        self.spent += charge
        self.out -= min(relay.may, 0)
        relay.may = max(relay.may, 0)

    @invariant()
    def agrees(self) -> None:
        with self.store.read() as connection:
            kept = {row.ledger_account: row.amount for row in connection.execute(select(schema.balances)) if row.amount}
            holds = fold.count_open(connection)
            assert pots.state(connection, self.pot)[:2] == (self.spent, self.out - self.spent)
        lent = sum(relay.lent for relay in [*self.relays, *self.buried])
        wanted = {
            ledger.available(PREPAID): self.available,
            ledger.held(PREPAID): lent,
            ledger.owed(UNLIMITED): -self.owed,
            ledger.CLEARING: -self.credit,
            ledger.REVENUE: self.revenue,
            ledger.OPERATOR_LOSS: -self.loss,
            ledger.PROVIDER_COST: self.loss,
        }
        assert kept == {name: amount for name, amount in wanted.items() if amount}
        assert self.available + lent == self.credit - (self.revenue - self.owed)
        everybody = [request for relay in [*self.relays, *self.buried] for request in relay.requests.values()]
        assert holds == sum(request.known and not request.ended for request in everybody)
