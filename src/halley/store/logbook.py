"""Requests as a log: pages of an account's rows, the newest first, and one row with all that is known of it. Reads only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Select, func, select, tuple_

from halley.chat.usage import Usage
from halley.store.schema import keys, requests
from halley.store.values import Entry


class Which(msgspec.Struct, frozen=True):
    """Whose requests: of an account, begun from `since` and before `until` (Unix seconds), of one key, model or status only where it is
    named, and with `running` only those without an ending."""

    account: str
    since: float
    until: float
    key: str | None = None
    model: str | None = None
    status: int | None = None
    running: bool = False


Place = tuple[float, str]
"""When a request began, Unix seconds, and its id: the order of a log, backwards."""

# A search that finds nothing passes so many requests (some 15 ms) and can be gone on with.
MOST_PASSED: Final = 20_000


def page(connection: Connection, which: Which, after: Place | None, limit: int, to: Place | None = None, skipped: int = 0) -> list[Entry]:
    """Up to `limit` of them, the newest first, behind one place and `skipped` more, and up to another place with it."""
    columns = requests.c
    query = _entries().where(*_wanted(which, after, to)).order_by(columns.at.desc(), columns.id.desc()).limit(limit).offset(skipped)
    return [_entry(row) for row in connection.execute(query)]


def count(connection: Connection, which: Which, to: Place | None) -> int:
    """How many there are, up to a place with it; MOST_PASSED if it is as many or more."""
    found = select(requests.c.id).where(*_wanted(which, None, to)).limit(MOST_PASSED).subquery()
    return connection.scalar(select(func.count()).select_from(found)) or 0


def _wanted(which: Which, after: Place | None, to: Place | None) -> list[ColumnElement[bool]]:
    columns = requests.c
    conditions = _between(which, after, which.since if to is None else max(which.since, to[0]))
    if to is not None:
        conditions.append(tuple_(columns.at, columns.id) >= tuple_(*to))
    for column, value in ((columns.key, which.key), (columns.model, which.model), (columns.status, which.status)):
        if value is not None:
            conditions.append(column == value)
    if which.running:
        # Few, in an index of their own; along the account's a database would pass all that has ended.
        conditions.append(columns.id.in_(select(requests.c.id).where(requests.c.ending.is_(None))))
    return conditions


def stop(connection: Connection, which: Which, after: Place | None) -> Place | None:
    """Where the search for a key, model or status stops for now, MOST_PASSED requests behind `after`; None when it comes to its end before,
    or searches for nothing."""
    if which.key is None and which.model is None and which.status is None:
        return None
    columns = requests.c
    query = select(columns.at, columns.id).where(*_between(which, after, which.since)).order_by(columns.at.desc(), columns.id.desc())
    found = connection.execute(query.offset(MOST_PASSED - 1).limit(1)).one_or_none()
    return None if found is None else (found.at, found.id)


def _between(which: Which, after: Place | None, since: float) -> list[ColumnElement[bool]]:
    columns = requests.c
    # One bound on each side, and ones that an index can be walked between: of two, a database may take the worse.
    begun = columns.at < which.until if after is None or after[0] >= which.until else columns.at <= after[0]
    conditions = [columns.account == which.account, columns.at >= since, begun]
    return conditions if after is None else [*conditions, tuple_(columns.at, columns.id) < tuple_(*after)]


def find(connection: Connection, account: str, request: str) -> Entry | None:
    return next(iter(find_all(connection, account, (request,))), None)


def find_all(connection: Connection, account: str, ids: Sequence[str]) -> list[Entry]:
    """Those that the account has, the newest first."""
    query = _entries().where(requests.c.id.in_(ids), requests.c.account == account)
    return [_entry(row) for row in connection.execute(query.order_by(requests.c.at.desc(), requests.c.id.desc()))]


def _entries() -> Select[Any]:
    return select(requests, keys.c.name.label("key_name")).outerjoin(keys, keys.c.id == requests.c.key)


def _entry(row: Row[Any]) -> Entry:
    plain = {name: getattr(row, name) for name in Entry.__struct_fields__ if name not in ("usage", "lost", "unpriced", "key_name")}
    lost, unpriced = (msgspec.json.decode(names, type=tuple[str, ...]) if names else () for names in (row.lost, row.unpriced))
    usage = msgspec.json.decode(row.usage, type=Usage) if row.usage else None
    return Entry(usage=usage, lost=lost, unpriced=unpriced, key_name=row.key_name or "", **plain)
