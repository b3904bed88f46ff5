"""Payments that were told of from outside: each order is credited once, by the way that it belongs to, with the amount it has.

An event says how an order stands. Told twice, nothing happens; told otherwise than before (another amount, account or way, or a state that
cannot follow), it is refused and nothing moves. Who signed it, and whether that is true, is judged before it comes here.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec
from sqlalchemy import Connection, select, update

from halley.money import NanoDollars, show
from halley.store import customers, ledger
from halley.store.bulk import inserting
from halley.store.customers import Short, Taken
from halley.store.schema import payments

State = Literal["pending", "paid", "failed", "refunded"]
PENDING: Final = "pending"
PAID: Final = "paid"
FAILED: Final = "failed"
REFUNDED: Final = "refunded"
# How far an order is; an event that comes late says less than is known.
_RANKS: dict[str, int] = {PENDING: 0, FAILED: 1, PAID: 2, REFUNDED: 3}


class Order(msgspec.Struct, frozen=True):
    """An order as an event has it."""

    id: str
    way: str
    account: str
    amount: NanoDollars
    state: State


def tell(connection: Connection, order: Order, at: float) -> bool:
    """Note how the order stands, and move the money that goes with it. Returns whether its state changed. Raises Unknown for an account
    that does not exist, Taken for an order that is told otherwise than before, Short for a refund of what is spent."""
    customers.account(connection, order.account)
    first = {"way": order.way, "account": order.account, "amount": order.amount, "state": PENDING, "at": at}
    connection.execute(inserting(connection.dialect, payments).values(order=order.id, **first).on_conflict_do_nothing())
    known = connection.execute(select(payments).where(payments.c.order == order.id).with_for_update()).one()
    if (known.way, known.account, known.amount) != (order.way, order.account, order.amount):
        raise Taken(f'The order "{order.id}" was told before with another way, account or amount; nothing was moved now.')
    if order.state == REFUNDED and known.state in (PENDING, FAILED):
        raise Taken(f'The order "{order.id}" was never paid, and cannot be refunded.')
    if _RANKS[order.state] <= _RANKS[known.state]:
        return False
    moved: dict[str, object] = {"state": order.state}
    if order.state == PAID:
        moved["credited"] = _credit(connection, order, order.amount, at)
    elif order.state == REFUNDED:
        moved["returned"] = _credit(connection, order, -order.amount, at)
    connection.execute(update(payments).where(payments.c.order == order.id).values(moved))
    return True


def _credit(connection: Connection, order: Order, amount: NanoDollars, at: float) -> int | None:
    found = customers.account(connection, order.account)
    if found.available + amount < 0:
        raise Short(
            f'The account "{order.account}" has {show(found.available)} USD left, and the order "{order.id}" was of {show(-amount)}.'
        )
    return ledger.post(connection, "credit", order.account, {ledger.CLEARING: -amount, ledger.available(order.account): amount}, at)
