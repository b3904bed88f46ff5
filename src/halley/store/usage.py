"""Usage by day: what the ended requests of a day, key and model come to. The fold adds to it in the transaction that ends them, and the
pages that show usage read it, never the requests.

Days are UTC, as numbers from 1970 on; a request belongs to the day on which it ended. Money is nano-dollars.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, Integer, Row, case, cast, func, select, tuple_

from halley.money import NanoDollars
from halley.policy.settlement import BROKE, CRASH, EXPIRED, FAILED, UNUSABLE
from halley.store.bulk import sum_rows
from halley.store.journal import End
from halley.store.schema import requests, usage_days
from halley.store.values import Difference

DAY_S: Final = 86400
_FIRST_DAY: Final = date(1970, 1, 1)
# What rows of usage can be told apart by, in the order in which they are sorted.
GROUPS: Final = ("day", "key", "model")
# Tokens of one request. A report beyond it is wrong (its row keeps it as it came), and sums of such would leave the 64 bits of the store.
_MOST = 10**12
_UNANSWERED = frozenset({FAILED, UNUSABLE, BROKE, CRASH, EXPIRED})
_SUMS = ("requests", "failed", "input", "output", "cache_read", "cache_write", "reasoning", "charge", "loss")
_PLACE = ("account", "day", "key", "model")


class Used(msgspec.Struct, frozen=True):
    """Sums over some days. `failed` of the requests ended without an answer that could be passed on; `loss` is what the operator paid."""

    requests: int = 0
    failed: int = 0
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0
    charge: NanoDollars = 0
    loss: NanoDollars = 0


class Line(NamedTuple):
    """A row of usage: what it is about (one value for each group that was asked for) and what it comes to."""

    group: tuple[int | str, ...]
    used: Used


class Which(msgspec.Struct, frozen=True):
    """Whose usage: of an account, from a first to a last day, and of one key or model only where they are named."""

    account: str
    first: int
    last: int
    key: str | None = None
    model: str | None = None


class Days:
    """What one batch of endings adds."""

    __slots__ = ("_sums",)

    def __init__(self) -> None:
        self._sums: dict[tuple[str, int, str, str], list[Any]] = {}

    def add(self, account: str, key: str, model: str, end: End) -> None:
        place = (account, int(end.at // DAY_S), key, model)
        sums = self._sums.get(place)
        if sums is None:
            sums = self._sums[place] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0.0]
        used = end.usage
        sums[0] += 1
        if end.ending in _UNANSWERED:
            sums[1] += 1
        sums[2] += used.input if used.input < _MOST else _MOST
        sums[3] += used.output if used.output < _MOST else _MOST
        if used.cache_read or used.cache_write_5m or used.cache_write_1h:
            sums[4] += min(used.cache_read, _MOST)
            sums[5] += min(used.cache_write_5m + used.cache_write_1h, _MOST)
        sums[6] += used.reasoning if used.reasoning < _MOST else _MOST
        sums[7] += end.charge
        sums[8] += end.loss
        if end.at > sums[9]:
            sums[9] = end.at

    def write(self, connection: Connection) -> None:
        rows = [(*place, *sums) for place, sums in sorted(self._sums.items())]
        sum_rows(connection, usage_days, _PLACE, _SUMS, rows, latest="last_at")


def total(connection: Connection, which: Which) -> Used:
    row = connection.execute(select(*_summed()).where(*_within(which))).one()
    return _used(row)


def page(connection: Connection, which: Which, groups: Sequence[str], after: tuple[int | str, ...] | None, limit: int) -> list[Line]:
    """Up to `limit` rows in the order of their groups, behind `after`. `groups` are some of GROUPS, in that order, at least one."""
    columns = [usage_days.c[name] for name in groups]
    query = select(*columns, *_summed()).where(*_within(which)).group_by(*columns).order_by(*columns).limit(limit)
    if after is not None:
        # The first condition is the second's, for a database that walks an index by the first alone.
        query = query.where(columns[0] >= after[0], tuple_(*columns) > tuple_(*after))
    return [Line(tuple(row[: len(columns)]), _used(row[len(columns) :])) for row in connection.execute(query)]


class OfKey(NamedTuple):
    """All that a key has used, and when it was used last."""

    charge: NanoDollars
    requests: int
    last_at: float


def of_keys(connection: Connection, names: Sequence[str]) -> dict[str, OfKey]:
    """By key id; a key that was never used is not in it."""
    columns = (usage_days.c.key, func.sum(usage_days.c.charge), func.sum(usage_days.c.requests), func.max(usage_days.c.last_at))
    found = connection.execute(select(*columns).where(usage_days.c.key.in_(names)).group_by(usage_days.c.key))
    return {key: OfKey(int(charge), int(count), last_at) for key, charge, count, last_at in found}


def days_are_their_requests(connection: Connection) -> Iterator[Difference]:
    """That every row of a day is what its requests come to: a check of `ledger verify`."""
    own, of_day = requests.c, usage_days.c
    day = own.ended_at / DAY_S
    # One database rounds where it casts, and the other cuts off.
    day = cast(func.floor(day) if connection.dialect.name == "postgresql" else day, Integer).label("day")
    failed = func.sum(case((own.ending.in_(_UNANSWERED), 1), else_=0))
    its: tuple[ColumnElement[Any], ...] = (own.account, day, own.key, own.model)
    ended = select(*its, func.count(), failed, func.sum(own.charge), func.sum(own.loss)).where(own.ending.is_not(None))
    ended = ended.group_by(own.account, "day", own.key, own.model)
    kept = select(of_day.account, of_day.day, of_day.key, of_day.model, of_day.requests, of_day.failed, of_day.charge, of_day.loss)
    wanted, found = ({tuple(row[:4]): tuple(map(int, row[4:])) for row in connection.execute(query)} for query in (ended, kept))
    nothing = (0, 0, 0, 0)
    for place in sorted(wanted.keys() | found.keys()):
        there, here = found.get(place, nothing), wanted.get(place, nothing)
        if there != here:
            account, number, key, model = place
            subject = f"{account} on {_FIRST_DAY + timedelta(days=number)}: {key}, {model}"
            detail = f"the day has (requests, failed, charge, loss) {there}, its requests come to {here}, in nano-dollars"
            yield Difference("days_are_their_requests", subject, detail)


def _within(which: Which) -> list[ColumnElement[bool]]:
    columns = usage_days.c
    conditions = [columns.account == which.account, columns.day >= which.first, columns.day <= which.last]
    conditions += [columns.key == which.key] if which.key is not None else []
    conditions += [columns.model == which.model] if which.model is not None else []
    return conditions


def _summed() -> list[ColumnElement[Any]]:
    return [func.coalesce(func.sum(usage_days.c[name]), 0) for name in _SUMS]


def _used(row: Row[Any] | Sequence[Any]) -> Used:
    # PostgreSQL sums 64-bit integers to its decimal type.
    return Used(*map(int, row))
