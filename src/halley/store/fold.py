"""Journal records become ledger rows: one hold and one ending per request, and one posting per account and batch.

Idempotent by request id: a record that is already in the store changes nothing. The journal's place moves in the same transaction, so
that a crash between two batches repeats none and loses none. A record that contradicts the store is kept as a stray, not dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, bindparam, func, insert, select, update

from halley.chat.usage import Usage
from halley.money import NanoDollars
from halley.policy.pricing import CRASH, EXPIRED, Ending
from halley.store import ledger
from halley.store.bulk import Row, insert_rows, inserting
from halley.store.journal import End, Progress, Record, Start
from halley.store.replay import Position, Read, Stray
from halley.store.schema import accounts, endings, journals, requests, strays

# A million dollars for one request, nano-dollars: beyond it a record is wrong, and its sums would leave the 64 bits of the store.
_DEAREST = 10**15
# Bound variables of one statement; SQLite's oldest limit is 999.
_CHUNK = 900

_encode = msgspec.json.Encoder().encode
# In the order of the tables, and of the tuples that are written.
_START_COLUMNS = tuple(column.name for column in requests.columns if not column.name.startswith("progress_"))
_END_COLUMNS = tuple(column.name for column in endings.columns)
_progress_update = (
    update(requests)
    .where(requests.c.id == bindparam("request"))
    .values(progress_charge=bindparam("charge"), progress_provider=bindparam("provider"), progress_usage=bindparam("usage"))
)


class _Hold(NamedTuple):
    account: str
    leased: bool


class _Sum:
    """What one account's endings of one batch come to."""

    __slots__ = ("leased", "loss", "unleased")

    def __init__(self) -> None:
        self.leased = self.unleased = self.loss = 0


def position(connection: Connection, relay: str) -> Position:
    row = connection.execute(
        select(journals.c.offset, journals.c.segment, journals.c.position).where(journals.c.relay == relay)
    ).one_or_none()
    return Position() if row is None else Position(row.offset, row.segment, row.position)


def fold(connection: Connection, relay: str, read: Read, at: float) -> int:
    """One batch into the ledger. Returns how many requests it ended."""
    lost = list(read.strays)
    starts = {record.request: record for record in read.records if type(record) is Start}
    ends: dict[str, End] = {}
    progress: dict[str, Progress] = {}
    for record in read.records:
        if type(record) is End:
            ends.setdefault(record.request, record)
        elif type(record) is Progress:
            progress[record.request] = record
    _drop_foreign(connection, starts, lost)
    _write_starts(connection, relay, starts.values())
    running = [record for request, record in progress.items() if request not in ends]
    if running:
        connection.execute(
            _progress_update,
            [{"request": each.request, "charge": each.charge, "provider": each.provider, "usage": _json(each.usage)} for each in running],
        )
    count = _write_ends(connection, relay, ends, starts, at, lost)
    _keep(connection, relay, lost, at)
    _move(connection, relay, read.after)
    return count


def end_of_relay(connection: Connection, relay: str, at: float) -> int:
    """The relay is gone and its journal is folded: end what it left open by the crash row, close its leases and its journal."""
    count = _end_open(connection, relay, CRASH, at)
    ledger.close_leases(connection, relay, at)
    connection.execute(update(journals).where(journals.c.relay == relay).values(closed_at=at))
    return count


def overdue(connection: Connection, before: float) -> set[str]:
    """Relays that have a hold open which began before then, Unix seconds."""
    query = select(requests.c.relay).outerjoin(endings, endings.c.request == requests.c.id)
    return set(connection.scalars(query.where(requests.c.at < before, endings.c.request.is_(None)).distinct()))


def expire(connection: Connection, relay: str, before: float, at: float) -> int:
    """The relay lives and said nothing more of these requests: end those that began before then. Their charge leaves the lease, which stays
    open; the relay does not spend what it still sets aside for them, and gives it back when it ends."""
    return _end_open(connection, relay, EXPIRED, at, requests.c.at < before)


def _end_open(connection: Connection, relay: str, ending: Ending, at: float, *which: ColumnElement[bool]) -> int:
    """End open holds of a relay, each by its last progress."""
    columns = (requests.c.id, requests.c.hold, requests.c.progress_charge, requests.c.progress_provider, requests.c.progress_usage)
    query = select(*columns).outerjoin(endings, endings.c.request == requests.c.id)
    ends = {
        row.id: _last_progress(row.id, ending, at, row.hold, row.progress_charge or 0, row.progress_provider or "", row.progress_usage)
        for row in connection.execute(query.where(requests.c.relay == relay, endings.c.request.is_(None), *which))
    }
    return _write_ends(connection, relay, ends, {}, at, [])


def unclosed(connection: Connection) -> set[str]:
    """Relays whose journal is not closed in the ledger."""
    return set(connection.scalars(select(journals.c.relay).where(journals.c.closed_at.is_(None))))


def count_open(connection: Connection) -> int:
    """Requests with a hold and no ending."""
    return (connection.scalar(select(func.count()).select_from(requests)) or 0) - (
        connection.scalar(select(func.count()).select_from(endings)) or 0
    )


def _last_progress(
    request: str, ending: Ending, at: float, hold: NanoDollars, charge: NanoDollars, provider: str, usage: str | None
) -> End:
    used = msgspec.json.decode(usage, type=Usage) if usage else Usage()
    return End(
        request=request,
        at=at,
        ending=ending,
        status=0,
        provider=provider,
        usage=used,
        estimated=True,
        charge=max(min(charge, hold, _DEAREST), 0),
        loss=0,
        attempts=1,
        bytes_in=0,
        bytes_out=0,
        admitted_ms=0.0,
        first_ms=0.0,
        total_ms=0.0,
    )


def _drop_foreign(connection: Connection, starts: dict[str, Start], lost: list[Stray]) -> None:
    names = {start.account for start in starts.values()}
    known: set[str] = set(_among(connection, accounts.c.id, names))
    if len(known) < len(names):
        for request in [request for request, start in starts.items() if start.account not in known]:
            lost.append(_stray(starts.pop(request), "the account does not exist"))


def _write_starts(connection: Connection, relay: str, starts: Iterable[Start]) -> None:
    rows: list[Row] = [
        (
            each.request,
            each.at,
            relay,
            each.account,
            each.key,
            each.route,
            each.model,
            each.price_version,
            each.hold,
            each.leased,
            each.stream,
            each.input_estimate,
            each.client_request_id,
        )
        for each in starts
    ]
    insert_rows(connection, requests, _START_COLUMNS, rows, ignore_known=True)


def _write_ends(connection: Connection, relay: str, ends: dict[str, End], starts: dict[str, Start], at: float, lost: list[Stray]) -> int:
    if not ends:
        return 0
    ended = set(_among(connection, endings.c.request, ends))
    fresh = [end for request, end in ends.items() if request not in ended]
    holds = {request: _Hold(start.account, start.leased) for request, start in starts.items()}
    holds |= _holds(connection, [end.request for end in fresh if end.request not in holds])
    sums: dict[str, _Sum] = {}
    good: list[End] = []
    for end in fresh:
        hold = holds.get(end.request)
        if hold is None or not (0 <= end.charge <= _DEAREST and 0 <= end.loss <= _DEAREST):
            lost.append(_stray(end, "an end without its start" if hold is None else "a charge or loss that cannot be"))
            continue
        good.append(end)
        if end.charge or end.loss:
            total = sums.setdefault(hold.account, _Sum())
            total.loss += end.loss
            if hold.leased:
                total.leased += end.charge
            else:
                total.unleased += end.charge
    written = {
        account: ledger.post(connection, "settle", account, settlement(account, total.leased, total.unleased, total.loss), at)
        for account, total in sums.items()
    }
    ledger.charge_leases(connection, relay, {account: total.leased for account, total in sums.items()}, at)
    rows = [_row(end, written[holds[end.request].account] if end.charge or end.loss else None) for end in good]
    insert_rows(connection, endings, _END_COLUMNS, rows)
    return len(good)


def settlement(account: str, leased: NanoDollars, unleased: NanoDollars, loss: NanoDollars) -> dict[str, NanoDollars]:
    """The entries that the endings of one account and batch add up to."""
    return {
        ledger.held(account): -leased,
        ledger.owed(account): -unleased,
        ledger.REVENUE: leased + unleased,
        ledger.OPERATOR_LOSS: -loss,
        ledger.PROVIDER_COST: loss,
    }


def _row(end: End, posting: int | None) -> Row:
    return (
        end.request,
        posting,
        end.at,
        end.ending,
        end.status,
        end.provider,
        _json(end.usage),
        end.estimated,
        end.charge,
        end.loss,
        end.attempts,
        end.bytes_in,
        end.bytes_out,
        end.admitted_ms,
        end.first_ms,
        end.total_ms,
        end.upstream_request_id,
        _json(end.lost) if end.lost else None,
    )


def _json(value: object) -> str:
    return _encode(value).decode()


def _among(connection: Connection, column: ColumnElement[str], wanted: Iterable[str]) -> Iterable[str]:
    """Those of `wanted` that are in the column."""
    names = list(wanted)
    for start in range(0, len(names), _CHUNK):
        part = names[start : start + _CHUNK]
        yield from connection.scalars(select(column).where(column.in_(part)))


def _holds(connection: Connection, names: Sequence[str]) -> dict[str, _Hold]:
    found: dict[str, _Hold] = {}
    columns = (requests.c.id, requests.c.account, requests.c.leased)
    for start in range(0, len(names), _CHUNK):
        part = names[start : start + _CHUNK]
        found.update(
            {row.id: _Hold(row.account, row.leased) for row in connection.execute(select(*columns).where(requests.c.id.in_(part)))}
        )
    return found


def _stray(record: Record, reason: str) -> Stray:
    return Stray(msgspec.json.encode(record), reason)


def _keep(connection: Connection, relay: str, lost: Sequence[Stray], at: float) -> None:
    if lost:
        connection.execute(insert(strays), [{"at": at, "relay": relay, "reason": each.reason, "line": each.line} for each in lost])


def _move(connection: Connection, relay: str, to: Position) -> None:
    place = {"offset": to.offset, "segment": to.segment, "position": to.position}
    statement = inserting(connection.dialect, journals).values(relay=relay, **place)
    connection.execute(statement.on_conflict_do_update(index_elements=["relay"], set_=place))
