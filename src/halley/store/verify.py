"""Proves that the ledger agrees with itself: every check recomputes a figure from the rows below it and names what differs. Reads only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from heapq import merge
from itertools import groupby
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, case, func, select

from halley.chat.usage import Usage
from halley.money import show
from halley.policy.pricing import Tariff
from halley.policy.settlement import BROKE, CRASH, EXPIRED, NOTHING, shares
from halley.store import fold, ledger, pots, prices, usage
from halley.store.schema import balances, entries, journals, leases, postings, requests, strays
from halley.store.values import Difference

# Enough to see what is wrong; a broken ledger of a million rows is not listed row by row.
_MOST = 1000
# Of what grows with every request, so many rows are in memory at a time.
_STREAMED = {"yield_per": 1000}


class Found(msgspec.Struct, frozen=True):
    requests: int
    postings: int
    differences: tuple[Difference, ...]


def verify(connection: Connection, sample: int | None = None) -> Found:
    """`sample`: recompute the charges of so many requests, the newest, and not of all."""
    found: list[Difference] = []
    for check in (*CHECKS, partial(charges_are_recomputable, most=sample)):
        for difference in check(connection):
            found.append(difference)
            if len(found) >= _MOST:
                break
    return Found(
        connection.scalar(select(func.count()).select_from(requests)) or 0,
        connection.scalar(select(func.count()).select_from(postings)) or 0,
        tuple(found[:_MOST]),
    )


def postings_sum_to_zero(connection: Connection) -> Iterator[Difference]:
    total = func.sum(entries.c.amount)
    for posting, amount in connection.execute(select(entries.c.posting, total).group_by(entries.c.posting).having(total != 0)):
        yield Difference("postings_sum_to_zero", f"posting {posting}", f"sums to {show(int(amount))} USD")


def balances_are_sums(connection: Connection) -> Iterator[Difference]:
    query = select(entries.c.ledger_account, func.sum(entries.c.amount)).group_by(entries.c.ledger_account)
    # PostgreSQL sums 64-bit integers to its decimal type.
    sums: dict[str, int] = {name: int(amount) for name, amount in connection.execute(query)}
    kept: dict[str, int] = {row.ledger_account: row.amount for row in connection.execute(select(balances))}
    for name in sorted(sums.keys() | kept.keys()):
        if sums.get(name, 0) != kept.get(name, 0):
            yield Difference("balances_are_sums", name, f"balance {show(kept.get(name, 0))}, entries {show(sums.get(name, 0))} USD")


def requests_end(connection: Connection) -> Iterator[Difference]:
    """That none ends twice is also the database's own constraint. That none stays open when its relay is gone is not."""
    for request in connection.scalars(select(requests.c.id).group_by(requests.c.id).having(func.count() > 1)):
        yield Difference("requests_end", request, "has more than one ending")
    left_open = (
        select(requests.c.id, requests.c.relay)
        .outerjoin(journals, journals.c.relay == requests.c.relay)
        .where(requests.c.ending.is_(None), (journals.c.relay.is_(None)) | (journals.c.closed_at.is_not(None)))
    )
    for request, relay in connection.execute(left_open):
        yield Difference("requests_end", request, f"is open, but its relay {relay} is gone")


def settlements_are_their_endings(connection: Connection) -> Iterator[Difference]:
    """Each aggregated posting is recomputed from the endings that name it; both sides come in the order of postings."""
    both = merge(_written(connection), _ended(connection), key=lambda line: line.posting)
    for posting, lines in groupby(both, lambda line: line.posting):
        sums: tuple[defaultdict[str, int], ...] = (defaultdict(int), defaultdict(int))
        for line in lines:
            sums[line.side][line.account] += line.amount
        found, wanted = ({name: amount for name, amount in side.items() if amount} for side in sums)
        if wanted != found:
            yield Difference("settlements_are_their_endings", f"posting {posting}", f"entries {found}, endings {wanted}")
    unposted = select(requests.c.id).where(requests.c.posting.is_(None), (requests.c.charge != 0) | (requests.c.loss != 0))
    for request in connection.scalars(unposted):
        yield Difference("settlements_are_their_endings", request, "has a charge or loss and no posting")


class _Line(NamedTuple):
    """A figure of one posting: as it is written (side 0) or as its endings say it should be (side 1)."""

    posting: int
    side: int
    account: str
    amount: int


def _written(connection: Connection) -> Iterator[_Line]:
    query = (
        select(entries.c.posting, entries.c.ledger_account, entries.c.amount)
        .join(postings, postings.c.id == entries.c.posting)
        .where(postings.c.kind == "settle")
        .order_by(entries.c.posting)
    )
    for posting, account, amount in connection.execute(query, execution_options=_STREAMED):
        yield _Line(posting, 0, account, amount)


def _ended(connection: Connection) -> Iterator[_Line]:
    leased = func.sum(case((requests.c.leased, requests.c.charge), else_=0))
    query = (
        select(requests.c.posting, requests.c.account, leased, func.sum(requests.c.charge), func.sum(requests.c.loss))
        .where(requests.c.posting.is_not(None), requests.c.ending.is_not(None))
        .group_by(requests.c.posting, requests.c.account)
        .order_by(requests.c.posting)
    )
    for posting, account, *sums in connection.execute(query, execution_options=_STREAMED):
        held, charge, loss = map(int, sums)
        for name, amount in fold.settlement(account, held, charge - held, loss).items():
            yield _Line(posting, 1, name, amount)


def charges_fit_holds(connection: Connection) -> Iterator[Difference]:
    query = select(requests.c.id, requests.c.hold, requests.c.charge).where(requests.c.charge > requests.c.hold, requests.c.loss == 0)
    for request, hold, charge in connection.execute(query):
        yield Difference("charges_fit_holds", request, f"charged {show(charge)}, held {show(hold)} USD, and no loss is booked")


def charges_are_recomputable(connection: Connection, most: int | None = None) -> Iterator[Difference]:
    """Every ended request, from the usage and the price version on its row and the row of the settlement table that it names."""
    tariffs = {version: Tariff(price) for version, price in prices.known(connection).items()}
    read = msgspec.json.Decoder(Usage).decode
    columns = (
        requests.c.id,
        requests.c.hold,
        requests.c.price_version,
        requests.c.usage,
        requests.c.ending,
        requests.c.charge,
        requests.c.loss,
    )
    query = select(*columns).where(requests.c.ending.is_not(None)).limit(most)
    if most is not None:
        query = query.order_by(requests.c.id.desc())  # ids begin with the time
    for row in connection.execute(query, execution_options=_STREAMED):
        tariff = tariffs.get(row.price_version)
        if tariff is None:
            yield Difference("charges_are_recomputable", row.id, f"names the unknown price {row.price_version}")
            continue
        usage = read(row.usage)
        # A relay that died before its first progress said nothing of what it used.
        worth = 0 if row.ending in (CRASH, EXPIRED) and usage == NOTHING else tariff.charge(usage)
        # Whether a broken answer is free was the operator's choice on that day.
        charge, loss = shares(row.ending, worth, row.hold, broke_is_free=row.ending == BROKE and row.charge == 0)
        if (row.charge, row.loss) != (charge, loss):
            detail = f"charged {show(row.charge)} with loss {show(row.loss)}; usage and price give {show(charge)} and {show(loss)} USD"
            yield Difference("charges_are_recomputable", row.id, detail)


def leases_add_up(connection: Connection) -> Iterator[Difference]:
    left: defaultdict[str, int] = defaultdict(int)
    for row in connection.execute(select(leases)):
        outstanding = row.granted - row.returned - row.charged
        left[ledger.held(row.account)] += outstanding
        if outstanding < 0 or (row.closed_at is not None and outstanding):
            yield Difference("leases_add_up", f"{row.account} at {row.relay}", f"{show(outstanding)} USD outstanding")
    for row in connection.execute(select(balances).where(balances.c.ledger_account.like("held:%"))):
        if row.amount != left.pop(row.ledger_account, 0):
            yield Difference("leases_add_up", row.ledger_account, f"balance {show(row.amount)} is not what the leases come to")
    for name, amount in left.items():
        if amount:
            yield Difference("leases_add_up", name, f"leases come to {show(amount)} USD, and there is no balance")


def nothing_was_left_out(connection: Connection) -> Iterator[Difference]:
    for row in connection.execute(select(strays)):
        yield Difference("nothing_was_left_out", f"journal of {row.relay}", f"a line could not be folded: {row.reason}")


CHECKS: tuple[Callable[[Connection], Iterator[Difference]], ...] = (
    postings_sum_to_zero,
    balances_are_sums,
    requests_end,
    settlements_are_their_endings,
    charges_fit_holds,
    leases_add_up,
    usage.days_are_their_requests,
    prices.versions_name_their_rates,
    pots.pots_are_their_requests,
    nothing_was_left_out,
)
