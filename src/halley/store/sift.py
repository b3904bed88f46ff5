"""One batch of a journal into the ledger, in a transaction of its own. A batch that the store refuses is folded record by record, and what
it refuses alone is kept as a stray.

So one absurd figure in a journal, from a bug or from somebody's hand, costs its own record and holds up nobody else's settlement. A store
that takes nothing at all (a full disk, a lost connection) is no refusal: that passes, and the batch is tried again as a whole.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import DataError, IntegrityError

from halley import crash
from halley.store import fold
from halley.store.database import Store
from halley.store.replay import Read, Stray

# A value that no column takes: a broken constraint, a number beyond 64 bits (which SQLite's driver finds itself), a text that is none.
_REFUSED = (IntegrityError, DataError, OverflowError, UnicodeError)


def book(store: Store, relay: str, read: Read, at: float) -> int:
    """Returns how many requests it ended."""
    try:
        return _commit(store, relay, read, at, fold.fold)
    except _REFUSED:
        return _commit(store, relay, read, at, _fold_apart)


def _commit(store: Store, relay: str, read: Read, at: float, folding: Callable[[Connection, str, Read, float], int]) -> int:
    crash.here("control.fold.read")
    with store.begin() as connection:
        ended = folding(connection, relay, read, at)
        crash.here("control.fold.uncommitted")
    crash.here("control.fold.committed")
    return ended


def _fold_apart(connection: Connection, relay: str, read: Read, at: float) -> int:
    count = 0
    lost = list(read.strays)
    for record in read.records:
        try:
            with connection.begin_nested():
                count += fold.fold(connection, relay, Read((record,), (), read.after), at)
        except _REFUSED as fault:
            reason = str(getattr(fault, "orig", fault))
            lost.append(Stray(msgspec.json.encode(record), f"the store refuses it: {reason}"))
    fold.fold(connection, relay, Read((), tuple(lost), read.after), at)
    return count
