"""The double-entry ledger: postings that sum to zero, balances that are their sums, and the credit leases of relays.

Signs: a positive balance is what the account's owner may claim, so a customer's `available` and `held` are positive, and `clearing` (money
that came in), `owed` (spend of unlimited accounts) and `operator_loss` go down when their partner goes up.

| posting | from | to |
|---|---|---|
| credit | clearing (or promotion) | available |
| grant | available | held: lent to a relay |
| return | held | available: given back, or the lease of a dead relay is closed |
| settle | held, or owed when no lease stood behind it | revenue |
| settle, loss | operator_loss | provider_cost |

What the operator pays beyond a charge is an expense (operator_loss) against what the provider may claim for it (provider_cost), so that a
loss moves no customer's money and still sums to zero. A posting of kind settle is one per account and batch; its `endings` rows name it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec
from sqlalchemy import ColumnElement, Connection, case, func, insert, select, update

from halley.errors import HalleyError
from halley.money import NanoDollars
from halley.store.bulk import add_to_rows, insert_rows, inserting, sum_rows
from halley.store.schema import balances, entries, leases, postings

CLEARING = "clearing"
PROMOTION = "promotion"
REVENUE = "revenue"
OPERATOR_LOSS = "operator_loss"
PROVIDER_COST = "provider_cost"

# A grant is the need exactly while credit is short, else this share of it, so that an account asks seldom and no relay hoards.
_EXACT_BELOW = 20
_SHARE = 20


class Unbalanced(HalleyError):
    """A posting that does not sum to zero was about to be written: a bug, and nothing was written."""


class Lease(msgspec.Struct, frozen=True):
    """One lease: totals in nano-dollars since the relay process began. `charged` is what the folded endings took from it."""

    account: str
    relay: str
    granted: NanoDollars
    returned: NanoDollars
    charged: NanoDollars

    @property
    def outstanding(self) -> NanoDollars:
        return self.granted - self.returned - self.charged


def available(account: str) -> str:
    return f"available:{account}"


def held(account: str) -> str:
    return f"held:{account}"


def owed(account: str) -> str:
    return f"owed:{account}"


def post(connection: Connection, kind: str, account: str, amounts: Mapping[str, NanoDollars], at: float) -> int | None:
    """Write one posting and move the balances. Returns its id, None when every amount is zero. Raises Unbalanced."""
    return post_all(connection, kind, {account: amounts}, at).get(account)


def post_all(connection: Connection, kind: str, amounts: Mapping[str, Mapping[str, NanoDollars]], at: float) -> dict[str, int]:
    """As `post`, one posting for each account, in as many journeys to the database as for one. Returns their ids by account."""
    lines: dict[str, dict[str, NanoDollars]] = {}
    moved: Counter[str] = Counter()
    for account, its in amounts.items():
        if sum(its.values()):
            raise Unbalanced(f"A posting of kind {kind} for account {account} does not sum to zero.")
        kept = {name: amount for name, amount in its.items() if amount}
        if kept:
            lines[account] = kept
            moved.update(kept)
    if not lines:
        return {}
    statement = insert(postings).returning(postings.c.id, sort_by_parameter_order=True)
    numbers = connection.scalars(statement, [{"at": at, "kind": kind, "account": account} for account in lines])
    ids: dict[str, int] = dict(zip(lines, numbers, strict=True))
    rows = [(ids[account], name, amount) for account, its in lines.items() for name, amount in its.items()]
    insert_rows(connection, entries, ("posting", "ledger_account", "amount"), rows)
    # In one order everywhere.
    sum_rows(connection, balances, ("ledger_account",), ("amount",), sorted(moved.items()))
    return ids


def balance(connection: Connection, ledger_account: str) -> NanoDollars:
    return connection.scalar(select(balances.c.amount).where(balances.c.ledger_account == ledger_account)) or 0


def lease(connection: Connection, account: str, relay: str) -> Lease | None:
    found = list(_leases(connection, leases.c.account == account, leases.c.relay == relay))
    return found[0] if found else None


def open_leases(connection: Connection, account: str | None = None, relay: str | None = None) -> list[Lease]:
    conditions: list[ColumnElement[bool]] = [leases.c.closed_at.is_(None)]
    if account is not None:
        conditions.append(leases.c.account == account)
    if relay is not None:
        conditions.append(leases.c.relay == relay)
    return list(_leases(connection, *conditions))


def _leases(connection: Connection, *conditions: ColumnElement[bool]) -> Iterable[Lease]:
    columns = (leases.c.account, leases.c.relay, leases.c.granted, leases.c.returned, leases.c.charged)
    for row in connection.execute(select(*columns).where(*conditions)):
        yield Lease(row.account, row.relay, row.granted, row.returned, row.charged)


def size_of_grant(credit: NanoDollars, need: NanoDollars, least: NanoDollars) -> NanoDollars:
    """How much to lend out of `credit`: 0 when it does not cover even `least`."""
    if credit >= need:
        return need if credit < _EXACT_BELOW * need else max(need, credit // _SHARE)
    return credit if credit >= least and credit > 0 else 0


def grant(connection: Connection, account: str, relay: str, amount: NanoDollars, at: float) -> NanoDollars:
    """Lend `amount` more to the relay. Returns the lease's new total."""
    statement = inserting(connection.dialect, leases).values(account=account, relay=relay, granted=amount, returned=0, charged=0)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["account", "relay"],
            # A relay that lives has an open lease, also when it was taken for dead before.
            set_={"granted": leases.c.granted + amount, "closed_at": None},
        )
    )
    post(connection, "grant", account, {available(account): -amount, held(account): amount}, at)
    return connection.execute(select(leases.c.granted).where(leases.c.account == account, leases.c.relay == relay)).scalar_one()


def take_back(connection: Connection, account: str, relay: str, returned: NanoDollars, at: float) -> NanoDollars:
    """Book a return; `returned` is the total of all returns. Returns what came back now, 0 for a message seen before."""
    known = lease(connection, account, relay)
    if known is None or returned <= known.returned:
        return 0
    amount = returned - known.returned
    connection.execute(update(leases).where(leases.c.account == account, leases.c.relay == relay).values(returned=returned))
    post(connection, "return", account, {held(account): -amount, available(account): amount}, at)
    return amount


def close_leases(connection: Connection, relay: str, at: float) -> None:
    """The relay is gone and its journal is folded: what it did not spend goes back."""
    left = {each.account: each.outstanding for each in open_leases(connection, relay=relay) if each.outstanding > 0}
    outstanding = leases.c.granted - leases.c.returned - leases.c.charged
    ours = (leases.c.relay == relay, leases.c.closed_at.is_(None))
    back = case((outstanding > 0, outstanding), else_=0)
    connection.execute(update(leases).where(*ours).values(returned=leases.c.returned + back, closed_at=at))
    post_all(connection, "return", {name: {held(name): -amount, available(name): amount} for name, amount in left.items()}, at)


def charge_leases(connection: Connection, relay: str, charges: Mapping[str, NanoDollars], at: float) -> None:
    """Move the charged totals of a relay's leases; `charges` by account.

    Where a lease does not cover its charge, the relay was given up for lost, its credit went back, and its journal came all the same: what
    is missing is lent now. The account may have spent it otherwise meanwhile; then its balance goes below zero, until it gets credit.
    """
    left = leases.c.granted - leases.c.returned - leases.c.charged
    rows = [(account, amount) for account, amount in charges.items() if amount]
    after = add_to_rows(connection, update(leases).where(leases.c.relay == relay), "account", "charged", rows, left)
    for account, amount in rows:
        outstanding = after.get(account)
        if outstanding is None:
            grant(connection, account, relay, amount, at)
            connection.execute(update(leases).where(leases.c.account == account, leases.c.relay == relay).values(charged=amount))
        elif outstanding < 0:
            grant(connection, account, relay, -outstanding, at)


def count_open_leases(connection: Connection) -> int:
    return connection.scalar(select(func.count()).select_from(leases).where(leases.c.closed_at.is_(None))) or 0
