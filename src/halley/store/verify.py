"""Proves that the ledger agrees with itself: every check recomputes a figure from the rows below it and names what differs. Reads only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import groupby

import msgspec
from sqlalchemy import Connection, and_, case, func, select

from halley.chat.usage import Usage
from halley.money import show
from halley.policy import pricing
from halley.policy.pricing import COMPLETE, DRAINED, LEFT
from halley.store import customers, fold, ledger
from halley.store.schema import balances, endings, entries, journals, leases, postings, requests, strays
from halley.store.values import Difference

# Enough to see what is wrong; a broken ledger of a million rows is not listed row by row.
_MOST = 1000
# Endings whose charge is what usage and price say. The others are free by the settlement table, or a crash's last progress.
_PRICED = (COMPLETE, LEFT, DRAINED)
# Of what grows with every request, so many rows are in memory at a time.
_STREAMED = {"yield_per": 1000}


class Found(msgspec.Struct, frozen=True):
    requests: int
    postings: int
    differences: tuple[Difference, ...]


def verify(connection: Connection) -> Found:
    found: list[Difference] = []
    for check in CHECKS:
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
        yield Difference("postings_sum_to_zero", f"posting {posting}", f"sums to {show(amount)} USD")


def balances_are_sums(connection: Connection) -> Iterator[Difference]:
    query = select(entries.c.ledger_account, func.sum(entries.c.amount)).group_by(entries.c.ledger_account)
    sums: dict[str, int] = {name: amount for name, amount in connection.execute(query)}
    kept: dict[str, int] = {row.ledger_account: row.amount for row in connection.execute(select(balances))}
    for name in sorted(sums.keys() | kept.keys()):
        if sums.get(name, 0) != kept.get(name, 0):
            yield Difference("balances_are_sums", name, f"balance {show(kept.get(name, 0))}, entries {show(sums.get(name, 0))} USD")


def requests_end_once(connection: Connection) -> Iterator[Difference]:
    """That none ends twice is also the database's own constraint. An ending without its hold, and a hold whose relay is gone, are not."""
    twice = select(endings.c.request).group_by(endings.c.request).having(func.count() > 1)
    for request in connection.scalars(twice):
        yield Difference("requests_end_once", request, "has more than one ending")
    orphans = select(endings.c.request).outerjoin(requests, requests.c.id == endings.c.request).where(requests.c.id.is_(None))
    for request in connection.scalars(orphans):
        yield Difference("requests_end_once", request, "has an ending and no hold")
    open_holds = (
        select(requests.c.id, requests.c.relay)
        .outerjoin(endings, endings.c.request == requests.c.id)
        .outerjoin(journals, journals.c.relay == requests.c.relay)
        .where(endings.c.request.is_(None), (journals.c.relay.is_(None)) | (journals.c.closed_at.is_not(None)))
    )
    for request, relay in connection.execute(open_holds):
        yield Difference("requests_end_once", request, f"is open, but its relay {relay} is gone")


def settlements_are_their_endings(connection: Connection) -> Iterator[Difference]:
    """Each aggregated posting is recomputed from the endings that name it; both sides come in the order of postings."""
    leased = func.sum(case((requests.c.leased, endings.c.charge), else_=0))
    query = (
        select(postings.c.id, postings.c.account, leased, func.sum(endings.c.charge), func.sum(endings.c.loss))
        .select_from(postings)
        .outerjoin(endings, endings.c.posting == postings.c.id)
        .outerjoin(requests, and_(requests.c.id == endings.c.request, requests.c.account == postings.c.account))
        .where(postings.c.kind == "settle")
        .group_by(postings.c.id, postings.c.account)
        .order_by(postings.c.id)
    )
    lines = (
        select(entries.c.posting, entries.c.ledger_account, entries.c.amount)
        .join(postings, postings.c.id == entries.c.posting)
        .where(postings.c.kind == "settle")
        .order_by(entries.c.posting)
    )
    written = groupby(connection.execute(lines, execution_options=_STREAMED), lambda line: line.posting)
    following = next(written, None)
    for posting, account, held, charge, loss in connection.execute(query, execution_options=_STREAMED):
        wanted = {
            name: amount for name, amount in fold.settlement(account, held or 0, (charge or 0) - (held or 0), loss or 0).items() if amount
        }
        found: defaultdict[str, int] = defaultdict(int)
        if following is not None and following[0] == posting:
            for line in following[1]:
                found[line.ledger_account] += line.amount
            following = next(written, None)
        if wanted != found:
            yield Difference("settlements_are_their_endings", f"posting {posting}", f"entries {dict(found)}, endings {wanted}")
    unposted = select(endings.c.request).where(endings.c.posting.is_(None), (endings.c.charge != 0) | (endings.c.loss != 0))
    for request in connection.scalars(unposted):
        yield Difference("settlements_are_their_endings", request, "has a charge or loss and no posting")


def charges_fit_holds(connection: Connection) -> Iterator[Difference]:
    query = (
        select(requests.c.id, requests.c.hold, endings.c.charge)
        .join(endings, endings.c.request == requests.c.id)
        .where(endings.c.charge > requests.c.hold, endings.c.loss == 0)
    )
    for request, hold, charge in connection.execute(query):
        yield Difference("charges_fit_holds", request, f"charged {show(charge)}, held {show(hold)} USD, and no loss is booked")


def charges_are_recomputable(connection: Connection) -> Iterator[Difference]:
    prices = customers.known_prices(connection)
    read = msgspec.json.Decoder(Usage).decode
    query = (
        select(requests.c.id, requests.c.hold, requests.c.price_version, endings.c.usage, endings.c.charge, endings.c.loss)
        .join(endings, endings.c.request == requests.c.id)
        .where(endings.c.estimated.is_(False), endings.c.ending.in_(_PRICED))
    )
    for row in connection.execute(query, execution_options=_STREAMED):
        price = prices.get(row.price_version)
        if price is None:
            yield Difference("charges_are_recomputable", row.id, f"names the unknown price {row.price_version}")
            continue
        cost = pricing.charge(price, read(row.usage))
        charge = min(cost, row.hold)
        if (row.charge, row.loss) != (charge, cost - charge):
            detail = (
                f"charged {show(row.charge)} with loss {show(row.loss)}; usage and price give {show(charge)} and {show(cost - charge)} USD"
            )
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
    requests_end_once,
    settlements_are_their_endings,
    charges_fit_holds,
    charges_are_recomputable,
    leases_add_up,
    nothing_was_left_out,
)
