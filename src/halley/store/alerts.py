"""Alerts: what an operator has to know, kept in the transaction in which it came about, until it was logged and delivered.

`due_at` of NULL is delivered, given up, or told by the log alone, because no webhook is configured when it would be sent.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Boolean, Column, Connection, Float, Integer, Table, Text, insert, select, update

from halley.money import NanoDollars, show
from halley.policy.budgets import BudgetRow, Pot
from halley.store.schema import budgets, metadata, pots

# The one table that does not stand in `store.schema`: nothing else reads or writes it. `told` says that it is in the log.
alerts = Table(
    "alerts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("at", Float, nullable=False),
    Column("kind", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Float, index=True),
    Column("told", Boolean, nullable=False),
)

BUDGET, DIFFERENCE, SWEPT = "budget.threshold", "ledger.difference", "hold.swept"
EXCEEDED, UNPRICED = "hold.exceeded", "usage.unpriced"
QUIET_S = 3600.0
"""What many requests may have in common is told so often at most: one of them is enough to look for the others."""
SHARES = (50, 80, 100)
_MOST = 100


class Alert(msgspec.Struct, frozen=True):
    """One alert. `body` is what is sent: JSON, the same at every attempt; so is the `id`."""

    id: str
    kind: str
    body: bytes
    attempts: int


def raise_alert(connection: Connection, kind: str, data: dict[str, Any], at: float) -> None:
    body = msgspec.json.encode({"type": kind, "timestamp": at, "data": data}).decode()
    values = {"id": f"msg_{secrets.token_hex(16)}", "at": at, "kind": kind, "body": body, "attempts": 0, "due_at": at, "told": False}
    connection.execute(insert(alerts).values(**values))


def raise_once(connection: Connection, kind: str, data: dict[str, Any], at: float) -> None:
    """As `raise_alert`, unless one of the kind was raised of late."""
    if not was_raised(connection, kind, at - QUIET_S):
        raise_alert(connection, kind, data, at)


def cross(connection: Connection, pot: Pot, at: float) -> None:
    """Tell the largest share of its budget that a pot has reached, if it was not told before. Once for each share, period and end user."""
    its = (pots.c.budget == pot.budget, pots.c.start == pot.start, pots.c.user == pot.user)
    query = select(pots.c.spent, pots.c.alerted, pots.c.until, budgets).join(budgets, budgets.c.id == pots.c.budget).where(*its)
    row = connection.execute(query).one_or_none()
    if row is None or row.removed_at is not None:
        return
    reached = [share for share in SHARES if share > row.alerted and row.spent * 100 >= row.amount * share]
    if not reached:
        return
    connection.execute(update(pots).where(*its).values(alerted=reached[-1]))
    budget = BudgetRow(row.id, row.account, row.level, row.subject, row.amount, row.reset, row.anchor)
    for share in reached:
        raise_alert(connection, BUDGET, _budget(budget, pot, share, row.spent, row.until), at)


def untold(connection: Connection) -> list[Alert]:
    """Those that are not in the log yet, the oldest first; from now on they are."""
    found = _alerts(connection, alerts.c.told.is_(False))
    connection.execute(update(alerts).where(alerts.c.id.in_([each.id for each in found])).values(told=True))
    return found


def due(connection: Connection, at: float) -> list[Alert]:
    return _alerts(connection, alerts.c.due_at <= at)


def take_due(connection: Connection, at: float, until: float) -> list[Alert]:
    """The oldest that is due, alone, and not due again before `until`: no other control process sends it meanwhile, and if this one dies,
    somebody does then."""
    found = due(connection, at)[:1]
    connection.execute(update(alerts).where(alerts.c.id.in_([each.id for each in found])).values(due_at=until))
    return found


def was_raised(connection: Connection, kind: str, since: float) -> bool:
    """Whether one of the kind was raised from then on, Unix seconds."""
    return connection.scalar(select(alerts.c.id).where(alerts.c.kind == kind, alerts.c.at >= since).limit(1)) is not None


def put_off(connection: Connection, alert: str, until: float | None) -> None:
    """An attempt was made; the next is due then, or none is."""
    connection.execute(update(alerts).where(alerts.c.id == alert).values(attempts=alerts.c.attempts + 1, due_at=until))


def forget_undeliverable(connection: Connection) -> None:
    """There is nowhere to send them."""
    connection.execute(update(alerts).where(alerts.c.due_at.is_not(None), alerts.c.told.is_(True)).values(due_at=None))


def _alerts(connection: Connection, condition: Any) -> list[Alert]:
    query = select(alerts).where(condition).order_by(alerts.c.at, alerts.c.id).limit(_MOST)
    return [Alert(row.id, row.kind, row.body.encode(), row.attempts) for row in connection.execute(query)]


def _budget(row: BudgetRow, pot: Pot, share: int, spent: NanoDollars, until: int | None) -> dict[str, Any]:
    subject: Sequence[str] = (pot.user,) if row.level == "user" else (row.subject,)
    return {
        "budget": row.id,
        "account": row.account,
        "level": row.level,
        "of": subject[0],
        "percent": share,
        "amount_nano": row.amount,
        "spent_nano": spent,
        "amount_usd": show(row.amount),
        "spent_usd": show(spent),
        "since": pot.start,
        "until": until,
    }
