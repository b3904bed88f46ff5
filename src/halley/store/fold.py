"""Journal records become ledger rows: one row per request, with its hold and later its ending, and one posting per account and batch.

Most requests begin and end within a batch, and their row is written once, whole. Idempotent by request id: a record that is already in the
store changes nothing. The journal's place moves in the same transaction, so that a crash between two batches repeats none and loses none. A
record that contradicts the store is kept as a stray, not dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from halley.chat.usage import Usage
from halley.money import NanoDollars
from halley.policy.settlement import CRASH, EXPIRED, WHOLE_ENDINGS, Ending
from halley.store import alerts, claims, kept, ledger, pots, usage
from halley.store.bulk import Row, insert_rows, inserting, update_rows
from halley.store.journal import End, Kept, Progress, Record, Sealed, Start
from halley.store.replay import Position, Read, Stray
from halley.store.schema import accounts, journals, requests, strays

# A million dollars for one request, nano-dollars: beyond it a record is wrong, and its sums would leave the 64 bits of the store.
_DEAREST = 10**15
# Bound variables of one statement; SQLite's oldest limit is 999.
_CHUNK = 900

_encode = msgspec.json.Encoder().encode
# In the order of the table, and of the tuples that are written.
_COLUMNS = tuple(column.name for column in requests.columns if not column.name.startswith("progress_"))
_END_COLUMNS = _COLUMNS[_COLUMNS.index("ended_at") :]
_START_COLUMNS = _COLUMNS[: -len(_END_COLUMNS)]
_PROGRESS_COLUMNS = ("progress_charge", "progress_provider", "progress_usage")
_open = update(requests).where(requests.c.ending.is_(None))


class _Hold(NamedTuple):
    account: str
    leased: bool
    ended: bool
    key: str
    model: str
    hold: NanoDollars


class _Sum:
    """What one account's endings of one batch come to, and the posting that says so."""

    __slots__ = ("leased", "loss", "posting", "unleased")

    def __init__(self) -> None:
        self.leased = self.unleased = self.loss = 0
        self.posting: int | None = None


def position(connection: Connection, relay: str) -> Position:
    row = connection.execute(
        select(journals.c.offset, journals.c.segment, journals.c.position).where(journals.c.relay == relay)
    ).one_or_none()
    return Position() if row is None else Position(row.offset, row.segment, row.position)


def fold(connection: Connection, relay: str, read: Read, at: float) -> int:
    """One batch into the ledger. Returns how many requests it ended."""
    starts: dict[str, Start] = {}
    ends: dict[str, End] = {}
    progress: dict[str, Progress] = {}
    answers: list[Kept] = []
    sealed: list[Sealed] = []
    for record in read.records:
        if type(record) is End:
            ends.setdefault(record.request, record)
        elif type(record) is Start:
            starts[record.request] = record
        elif type(record) is Progress:
            progress[record.request] = record
        elif type(record) is Kept:
            answers.append(record)
        elif type(record) is Sealed:
            sealed.append(record)
    kept.keep(connection, answers)
    claims.answered(connection, sealed)
    lost = [*read.strays, *_drop_foreign(connection, starts)]
    if budgeted := [start for start in starts.values() if start.pots]:
        pots.name(connection, budgeted)
    known = _known(connection, [request for request in ends if request not in starts])
    try:
        with connection.begin_nested():
            count, bad = _end(connection, relay, ends, starts, known, at)
    except IntegrityError:
        # Some of it was folded before. That does not happen to a journal whose place is kept: only here every request is looked up.
        count, bad = _end(connection, relay, ends, starts, _known(connection, ends), at)
    open_ = [_start_row(start, relay) for request, start in starts.items() if request not in ends or request in bad]
    insert_rows(connection, requests, _START_COLUMNS, open_, ignore_known=True)
    running = [(each.request, each.charge, each.provider, _json(each.usage)) for request, each in progress.items() if request not in ends]
    update_rows(connection, _open, "id", _PROGRESS_COLUMNS, running)
    _keep(connection, relay, [*lost, *bad.values()], at)
    _move(connection, relay, read.after)
    return count


def end_of_relay(connection: Connection, relay: str, at: float) -> int:
    """The relay is gone and its journal is folded: end what it left open by the crash row, close its leases and its journal."""
    count = _end_open(connection, relay, CRASH, at)
    ledger.close_leases(connection, relay, at)
    claims.end_of_relay(connection, relay)
    pots.close_leases(connection, relay, at)
    connection.execute(update(journals).where(journals.c.relay == relay).values(closed_at=at))
    return count


def expire(connection: Connection, relay: str, before: float, at: float) -> int:
    """The relay lives and said nothing more of these requests: end those that began before then. Their charge leaves the lease, which stays
    open; the relay does not spend what it still sets aside for them, and gives it back when it ends."""
    return _end_open(connection, relay, EXPIRED, at, requests.c.at < before)


def _end_open(connection: Connection, relay: str, ending: Ending, at: float, *which: ColumnElement[bool]) -> int:
    """End open holds of a relay, each by its last progress."""
    columns = (requests.c.id, requests.c.hold, requests.c.progress_charge, requests.c.progress_provider, requests.c.progress_usage)
    ends = {
        row.id: _last_progress(row.id, ending, at, row.hold, row.progress_charge or 0, row.progress_provider or "", row.progress_usage)
        for row in connection.execute(select(*columns).where(requests.c.relay == relay, requests.c.ending.is_(None), *which))
    }
    count, _ = _end(connection, relay, ends, {}, _known(connection, ends), at)
    return count


def count_open(connection: Connection) -> int:
    """Requests with a hold and no ending."""
    return connection.scalar(select(func.count()).select_from(requests).where(requests.c.ending.is_(None))) or 0


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


def _drop_foreign(connection: Connection, starts: dict[str, Start]) -> list[Stray]:
    names = {start.account for start in starts.values()}
    if not names:
        return []
    known = set(connection.scalars(select(accounts.c.id).where(accounts.c.id.in_(names))))
    foreign = [request for request, start in starts.items() if start.account not in known] if len(known) < len(names) else []
    return [_stray(starts.pop(request), "the account does not exist") for request in foreign]


def _known(connection: Connection, wanted: Iterable[str]) -> dict[str, _Hold]:
    """Those of the requests that have a row."""
    names = list(wanted)
    columns = (requests.c.id, requests.c.account, requests.c.leased, requests.c.ending, requests.c.key, requests.c.model, requests.c.hold)
    found: dict[str, _Hold] = {}
    for start in range(0, len(names), _CHUNK):
        part = select(*columns).where(requests.c.id.in_(names[start : start + _CHUNK]))
        found.update(
            {
                row.id: _Hold(row.account, row.leased, row.ending is not None, row.key, row.model, row.hold)
                for row in connection.execute(part)
            }
        )
    return found


def _end(
    connection: Connection, relay: str, ends: Mapping[str, End], starts: Mapping[str, Start], known: Mapping[str, _Hold], at: float
) -> tuple[int, dict[str, Stray]]:
    """Write the endings. Returns their number and those that cannot be. Raises IntegrityError when one of `starts` has a row and is not in
    `known`."""
    whole: list[tuple[Start, End, _Sum]] = []
    late: list[tuple[End, _Sum]] = []
    bad: dict[str, Stray] = {}
    sums: dict[str, _Sum] = {}
    days = usage.Days()
    for request, end in ends.items():
        hold = known.get(request) or starts.get(request)
        if hold is None or not (0 <= end.charge <= _DEAREST and 0 <= end.loss <= _DEAREST):
            bad[request] = _stray(end, "an end without its start" if hold is None else "a charge or loss that cannot be")
            continue
        total = sums.get(hold.account)
        if total is None:
            total = sums[hold.account] = _Sum()
        if isinstance(hold, Start):
            whole.append((hold, end, total))
        elif hold.ended:
            continue
        else:
            late.append((end, total))
        days.add(hold.account, hold.key, hold.model, end)
        if end.loss or end.unpriced:
            _tell(connection, hold, end, at)
        total.loss += end.loss
        if hold.leased:
            total.leased += end.charge
        else:
            total.unleased += end.charge
    settled = {account: settlement(account, total.leased, total.unleased, total.loss) for account, total in sums.items()}
    posted = ledger.post_all(connection, "settle", settled, at)
    for account, total in sums.items():
        total.posting = posted.get(account)
    ledger.charge_leases(connection, relay, {account: total.leased for account, total in sums.items()}, at)
    insert_rows(connection, requests, _COLUMNS, [_start_row(start, relay) + _end_row(end, total.posting) for start, end, total in whole])
    update_rows(connection, _open, "id", _END_COLUMNS, [(end.request, *_end_row(end, total.posting)) for end, total in late])
    days.write(connection)
    budgeted = {start.request: end.charge for start, end, _ in whole if start.pots}
    if late:
        budgeted |= {end.request: end.charge for end, _ in late}
    if budgeted:
        pots.charge(connection, relay, budgeted, at)
    return len(whole) + len(late), bad


def _tell(connection: Connection, hold: _Hold | Start, end: End, at: float) -> None:
    """The operator pays for what was not foreseen: an estimate that was too low, or a price that lacks something."""
    row = {"request": end.request, "account": hold.account, "model": hold.model, "provider": end.provider}
    if end.loss and end.charge == hold.hold and end.ending in WHOLE_ENDINGS:
        alerts.raise_once(connection, alerts.EXCEEDED, {**row, "hold_nano": hold.hold, "loss_nano": end.loss}, at)
    if end.unpriced:
        alerts.raise_once(connection, alerts.UNPRICED, {**row, "unpriced": end.unpriced}, at)


def settlement(account: str, leased: NanoDollars, unleased: NanoDollars, loss: NanoDollars) -> dict[str, NanoDollars]:
    """The entries that the endings of one account and batch add up to."""
    return {
        ledger.held(account): -leased,
        ledger.owed(account): -unleased,
        ledger.REVENUE: leased + unleased,
        ledger.OPERATOR_LOSS: -loss,
        ledger.PROVIDER_COST: loss,
    }


def _start_row(start: Start, relay: str) -> Row:
    return (
        start.request,
        start.at,
        relay,
        start.account,
        start.key,
        start.route,
        start.model,
        start.price_version,
        start.hold,
        start.leased,
        start.stream,
        start.input_estimate,
        start.client_request_id,
    )


def _end_row(end: End, posting: int | None) -> Row:
    return (
        end.at,
        end.ending,
        end.status,
        end.provider,
        _json(end.usage),
        end.estimated,
        end.charge,
        end.loss,
        posting if end.charge or end.loss else None,
        end.attempts,
        end.bytes_in,
        end.bytes_out,
        end.admitted_ms,
        end.first_ms,
        end.total_ms,
        end.upstream_request_id,
        _json(end.lost) if end.lost else None,
        end.cost,
        end.cancel or None,
        _json(end.unpriced) if end.unpriced else None,
    )


def _json(value: object) -> str:
    return _encode(value).decode()


def _stray(record: Record, reason: str) -> Stray:
    return Stray(_encode(record), reason)


def _keep(connection: Connection, relay: str, lost: Sequence[Stray], at: float) -> None:
    if lost:
        connection.execute(insert(strays), [{"at": at, "relay": relay, "reason": each.reason, "line": each.line} for each in lost])


def _move(connection: Connection, relay: str, to: Position) -> None:
    place: dict[str, Any] = {"offset": to.offset, "segment": to.segment, "position": to.position}
    statement = inserting(connection.dialect, journals).values(relay=relay, **place)
    connection.execute(statement.on_conflict_do_update(index_elements=["relay"], set_=place))
