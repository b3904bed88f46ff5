"""Answers that their callers may go on from: written by the fold, read back by id and account, gone after their time.

What stands in them is sealed by the relay that served them; nothing here can open it.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, delete, select

from halley.store.bulk import inserting
from halley.store.journal import Kept
from halley.store.schema import kept

# An answer of a conversation, and all those before it. Longer ones, in answers and in bytes, are not gone on from.
MOST_ANSWERS = 1000
MOST_BYTES = 64 << 20


def keep(connection: Connection, records: Iterable[Kept]) -> None:
    """Idempotent: the first of two records of one answer stays."""
    rows = [_row(record) for record in records]
    if rows:
        connection.execute(inserting(connection.dialect, kept).on_conflict_do_nothing(), rows)


def line(connection: Connection, account: str, answer: str) -> tuple[Kept, ...]:
    """The answer and those before it, the oldest first. Empty if it, or what is sealed of one before it, is not there any more, or if
    there is too much of them."""
    found: list[Kept] = []
    size = 0
    wanted: str | None = answer
    while wanted is not None:
        one = find(connection, account, wanted)
        if one is None or (found and one.sealed is None):
            return ()
        size += len(one.sealed or b"")
        found.append(one)
        if len(found) > MOST_ANSWERS or size > MOST_BYTES:
            return ()
        wanted = one.previous if one.sealed is not None else None
    return tuple(reversed(found))


def find(connection: Connection, account: str, answer: str) -> Kept | None:
    row = connection.execute(select(kept).where(kept.c.answer == answer, kept.c.account == account)).one_or_none()
    return None if row is None else Kept(row.answer, row.at, row.account, row.provider, row.previous, row.sealed)


def forget(connection: Connection, account: str, answer: str) -> None:
    connection.execute(delete(kept).where(kept.c.answer == answer, kept.c.account == account))


def expire(connection: Connection, before: float) -> int:
    """Those of before then, Unix seconds; how many there were."""
    return connection.execute(delete(kept).where(kept.c.at < before)).rowcount


def _row(record: Kept) -> dict[str, object]:
    return {name: getattr(record, name) for name in Kept.__struct_fields__}
