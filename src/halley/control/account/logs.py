"""`/api/logs`: the account's requests, one row each, and everything that is known of one: what it took, what it cost by which price, and
how it ended. Never what was said in it, which nobody keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from halley.chat.usage import Usage
from halley.control.account.endpoint import Endpoint, Table, Visitor, cursor, place_of
from halley.control.account.fields import LAST
from halley.control.account.figures import later, moment
from halley.control.account.manners import OWN
from halley.control.desk import Desk
from halley.errors import Condition, Refused
from halley.money import NanoDollars, PicoDollars, Price, show
from halley.policy.pricing import Tariff
from halley.store import logbook, prices
from halley.store.values import Entry

_ORDINARY_S = 30 * 86400


class LogsAsked(msgspec.Struct, frozen=True, rename={"since": "from"}):
    """`from` and `to` are ISO dates or times, the second not included; without `from`, the 30 days before `to` or now."""

    since: str | None = None
    to: str | None = None
    key: str | None = None
    model: str | None = None
    status: Annotated[int, Meta(ge=0, le=999)] | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 50
    cursor: str | None = None


class LogRow(msgspec.Struct, frozen=True, kw_only=True):
    """One request. Without an `ending` it still runs. `at` is Unix seconds; `_ms` counts from when the request was complete. Charges are in
    nano-dollars and in dollars; `attempts` is how many providers were asked."""

    id: str
    at: float
    key: str
    key_name: str
    route: str
    model: str
    provider: str | None
    stream: bool
    status: int | None
    ending: str | None
    attempts: int | None
    input_tokens: int | None
    output_tokens: int | None
    charge_nano: NanoDollars | None
    charge_usd: str | None
    total_ms: float | None


class LogPage(msgspec.Struct, frozen=True):
    data: tuple[LogRow, ...]
    next_cursor: str | None


class Line(msgspec.Struct, frozen=True):
    """A line of the bill: `count` of what is priced as `unit` (`per` of them in one), at so many pico-dollars a unit."""

    unit: str
    count: int
    per: int
    rate_pico: PicoDollars
    amount_nano: NanoDollars


class Log(LogRow, frozen=True, kw_only=True):
    """All of one request. `usage` is what the charge was computed from (`estimated` when no provider reported it), `price_version` by which
    price; `lines` say what it comes to, of which the ending may let less be charged. `unpriced` is what that price does not know; `cancel`
    the provider's rule for streams that are cut; `lost` what of the request the provider could not be told, and of the answer the
    caller; `loss` what the operator paid."""

    account: str
    client_request_id: str | None
    upstream_request_id: str | None
    ended_at: float | None
    usage: Usage | None
    estimated: bool | None
    price_version: str
    hold_nano: NanoDollars
    loss_nano: NanoDollars | None
    lines: tuple[Line, ...]
    unpriced: tuple[str, ...]
    cancel: str | None
    lost: tuple[str, ...]
    bytes_in: int | None
    bytes_out: int | None
    admitted_ms: float | None
    first_ms: float | None


class Which(msgspec.Struct, frozen=True):
    request_id: str


def listed(desk: Desk, visitor: Visitor, asked: LogsAsked) -> LogPage:
    if asked.key is not None and visitor.own not in (None, asked.key):
        raise Refused(Condition.NOT_ALLOWED, "This key reads its own requests only.", param="key")
    until = moment("to", asked.to) if asked.to is not None else LAST
    # Bounded: what is looked for and is not there is looked for in all of it.
    since = moment("from", asked.since) if asked.since is not None else min(until, desk.now()) - _ORDINARY_S
    if since > until:
        raise later("from", "to")
    which = logbook.Which(
        visitor.account,
        since,
        until,
        visitor.own or asked.key,
        asked.model,
        asked.status,
    )
    after = place_of(asked.cursor, tuple[float, str]) if asked.cursor is not None else None
    with desk.store.read() as connection:
        stop = logbook.stop(connection, which, after)
        found = logbook.page(connection, which, after, asked.limit + 1, stop)
    rows = found[: asked.limit]
    # Up to where it was looked for, or up to where the page is full.
    last = (rows[-1].at, rows[-1].id) if len(found) > asked.limit else stop
    return LogPage(tuple(LogRow(**_row(entry)) for entry in rows), cursor(last) if last is not None else None)


def read(desk: Desk, visitor: Visitor, which: Which) -> Log:
    with desk.store.read() as connection:
        entry = logbook.find(connection, visitor.account, which.request_id)
        price = prices.rates(connection, entry.price_version) if entry is not None else None
    if entry is None or visitor.own not in (None, entry.key):
        raise Refused(Condition.NOT_FOUND, f'There is no request "{which.request_id[:64]}"; what has just begun is here in a second.')
    return Log(
        account=entry.account,
        client_request_id=entry.client_request_id,
        upstream_request_id=entry.upstream_request_id,
        ended_at=entry.ended_at,
        usage=entry.usage,
        estimated=entry.estimated,
        price_version=entry.price_version,
        hold_nano=entry.hold,
        loss_nano=entry.loss,
        lines=_lines(entry, price),
        unpriced=entry.unpriced,
        cancel=entry.cancel or None,
        lost=entry.lost,
        bytes_in=entry.bytes_in,
        bytes_out=entry.bytes_out,
        admitted_ms=entry.admitted_ms,
        first_ms=entry.first_ms,
        **_row(entry),
    )


def _lines(entry: Entry, price: Price | None) -> tuple[Line, ...]:
    if price is None or entry.usage is None or not (entry.charge or entry.loss):
        return ()
    return tuple(Line(line.unit, line.count, line.per, line.rate, line.amount) for line in Tariff(price).lines(entry.usage))


def _row(entry: Entry) -> dict[str, Any]:
    used = entry.usage
    return {
        "id": entry.id,
        "at": entry.at,
        "key": entry.key,
        "key_name": entry.key_name,
        "route": entry.route,
        "model": entry.model,
        "provider": entry.provider,
        "stream": entry.stream,
        "status": entry.status,
        "ending": entry.ending,
        "attempts": entry.attempts,
        "input_tokens": used.input if used is not None else None,
        "output_tokens": used.output if used is not None else None,
        "charge_nano": entry.charge,
        "charge_usd": show(entry.charge) if entry.charge is not None else None,
        "total_ms": entry.total_ms,
    }


def _table(page: LogPage) -> Table:
    return Table(LogRow, page.data, page.next_cursor)


ENDPOINTS: Sequence[Endpoint] = (
    Endpoint("GET", "/api/logs", "The account's requests, the newest first", LogsAsked, LogPage, listed, OWN, as_table=_table),
    Endpoint("GET", "/api/logs/{request_id}", "All of one request", Which, Log, read, OWN, refused=frozenset({Condition.NOT_FOUND})),
)
