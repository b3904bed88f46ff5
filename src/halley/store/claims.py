"""Idempotency-Keys: which request has claimed one, and what became of it.

A key is claimed before its request has a hold, in the store, where every relay and every control process finds it: that there is one claim
is the primary key. What became of the request stands in its row, so that a claim is free again exactly when its request ended without an
answer and without a charge, by whatever hand: its relay, the end of a dead relay, or the sweeper. The answer itself is sealed by the relay
that served it; nothing here can open it, and keys and bodies are known by their digests alone.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any

from sqlalchemy import Connection, bindparam, delete, exists, select, update

from halley.policy.settlement import WHOLE_ENDINGS
from halley.store.bulk import inserting
from halley.store.journal import Sealed
from halley.store.messages import DONE, HELD, OTHER, RUNNING, Claim, ClaimGone, ClaimWanted
from halley.store.schema import claims, requests

# A request that has claimed its key begins within seconds. Without a beginning in its folded journal by then it never will.
LONGEST_START_S = 600.0

_HELD = Claim(HELD)
_seal = update(claims).where(
    claims.c.account == bindparam("its_account"), claims.c.key == bindparam("its_key"), claims.c.request == bindparam("its_request")
)


def claim(connection: Connection, wanted: ClaimWanted, relay: str, at: float, kept_s: float, folded: Container[str] = ()) -> Claim:
    """The key for this request, or what became of the one that has it. `folded` are relays whose journals are in the store to their end."""
    mine: dict[str, Any] = {"body": wanted.body, "request": wanted.request, "relay": relay, "at": at, "sealed": None}
    place = (claims.c.account == wanted.account, claims.c.key == wanted.key)
    row = None
    for _ in range(2):
        new = inserting(connection.dialect, claims).values(account=wanted.account, key=wanted.key, **mine)
        if connection.execute(new.on_conflict_do_nothing()).rowcount:
            return _HELD
        row = _find(connection, wanted)
        if row is None:
            continue  # it was freed in between
        if row.request == wanted.request:
            return _HELD  # the question came twice
        if not _is_free(row, at, kept_s, folded):
            break
        if connection.execute(update(claims).where(*place, claims.c.request == row.request).values(mine)).rowcount:
            return _HELD
    if row is None:
        return Claim(RUNNING)
    if row.body != wanted.body:
        return Claim(OTHER, row.request, row.ending or "")
    if not row.ending:
        return Claim(RUNNING, row.request)
    return Claim(DONE, row.request, row.ending, row.charge, row.sealed)


def answered(connection: Connection, records: Iterable[Sealed]) -> None:
    """Answers to be given again. Idempotent; one whose claim is another request's by now is nobody's."""
    rows = [{"its_account": each.account, "its_key": each.key, "its_request": each.request, "sealed": each.sealed} for each in records]
    if rows:
        connection.execute(_seal, rows)


def forget(connection: Connection, gone: ClaimGone) -> None:
    """The request was refused, and never began."""
    connection.execute(
        delete(claims).where(claims.c.account == gone.account, claims.c.key == gone.key, claims.c.request == gone.request, ~_begun())
    )


def end_of_relay(connection: Connection, relay: str) -> None:
    """The relay is gone and its journal is folded: what it claimed and did not begin is free."""
    connection.execute(delete(claims).where(claims.c.relay == relay, ~_begun()))


def expire(connection: Connection, before: float) -> int:
    """Those of before then, Unix seconds, whose requests do not run; how many there were."""
    running = exists().where(requests.c.id == claims.c.request, requests.c.ending.is_(None))
    return connection.execute(delete(claims).where(claims.c.at < before, ~running)).rowcount


def _begun() -> Any:
    return exists().where(requests.c.id == claims.c.request)


def _find(connection: Connection, wanted: ClaimWanted) -> Any:
    ours = (claims.c.body, claims.c.request, claims.c.relay, claims.c.at, claims.c.sealed)
    theirs = (requests.c.id, requests.c.ending, requests.c.charge)
    both = select(*ours, *theirs).select_from(claims.outerjoin(requests, requests.c.id == claims.c.request))
    return connection.execute(both.where(claims.c.account == wanted.account, claims.c.key == wanted.key)).one_or_none()


def _is_free(row: Any, at: float, kept_s: float, folded: Container[str]) -> bool:
    if row.id is None:
        return row.at < at - kept_s or (row.relay in folded and row.at < at - LONGEST_START_S)
    if row.ending is None:
        return False
    return row.at < at - kept_s or (row.ending not in WHOLE_ENDINGS and not row.charge)
