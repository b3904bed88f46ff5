"""`/api/user/self`, `/api/log/self`, `/api/log/token`: who asks and what they asked for, in the shapes that clients of CometAPI and of the
gateway that it came from know (https://github.com/QuantumNous/new-api, 2026-08). Quota is in units, 500,000 a dollar.

Rows are those of `/api/logs`. Their numbers count from 1 on the newest; what is the same for ever is `request_id`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from halley.control.account.endpoint import Endpoint, Nothing, Visitor
from halley.control.account.panel_keys import PANEL, Done, keys_of, number_of
from halley.control.account.panels import UNLIMITED_USD, left_of, spent_by
from halley.control.desk import Desk
from halley.errors import Condition, Refused
from halley.money import NANO, quota_units
from halley.store import logbook, usage
from halley.store.values import Entry

CONSUMPTION = 2
"""What every row here is: the kind of entry that a request makes. Payments and changes of settings are no rows of this log."""
_ANY = 0
_DAY_S = 86400
_ORDINARY_S = 30 * _DAY_S
_LATEST = 1e11
_MINUTE_S = 60.0
_MOST_SUMMED = 1000
_OF_TOKEN = 100


class UserSelf(msgspec.Struct, frozen=True, kw_only=True):
    """`quota` is what the account has left, `used_quota` and `request_count` what was used: by the key that asks, or of all of the
    account."""

    id: int
    username: str
    display_name: str
    role: int = 1
    status: int = 1
    email: str = ""
    group: str = "default"
    quota: int
    used_quota: int
    request_count: int
    aff_code: str = ""


class UserAnswer(Done, frozen=True, kw_only=True):
    data: UserSelf


class NamesAnswer(Done, frozen=True, kw_only=True):
    data: tuple[str, ...]


class LogItem(msgspec.Struct, frozen=True, kw_only=True):
    """One request; `use_time` in whole seconds. `other` is a JSON object as text: how it ended, with what status, and at which provider."""

    id: int
    user_id: int
    created_at: int
    type: int = CONSUMPTION
    content: str = ""
    username: str
    token_name: str
    model_name: str
    quota: int
    prompt_tokens: int
    completion_tokens: int
    use_time: int
    is_stream: bool
    channel: int = 0
    channel_name: str = ""
    token_id: int = 0
    group: str = ""
    ip: str = ""
    request_id: str
    other: str


class LogItems(msgspec.Struct, frozen=True):
    """`total` is exact where `total_is_exact`; else there are that many at least: it counts what is found in 20,000 requests, as far as
    pages reach."""

    page: int
    page_size: int
    total: int
    total_is_exact: bool
    items: tuple[LogItem, ...]


class LogAnswer(Done, frozen=True, kw_only=True):
    data: LogItems


class TokenLogAnswer(Done, frozen=True, kw_only=True):
    data: tuple[LogItem, ...]


class Stat(msgspec.Struct, frozen=True):
    """`quota` of the days that were asked for, exact; requests and tokens of the last minute, of 20,000 requests at most."""

    quota: int
    rpm: int
    tpm: int


class StatAnswer(Done, frozen=True, kw_only=True):
    data: Stat


class LogPaging(msgspec.Struct, frozen=True):
    """Pages begin at 1. Times are Unix seconds; without a first one, the 30 days before the last. `type` 0 and 2 have rows here."""

    p: int = 1
    page_size: int | None = None
    size: int | None = None
    type: int = _ANY
    start_timestamp: Annotated[int, Meta(ge=0, le=int(_LATEST))] = 0
    end_timestamp: Annotated[int, Meta(ge=0, le=int(_LATEST))] = 0
    token_name: str = ""
    model_name: str = ""
    group: str = ""


def user(desk: Desk, visitor: Visitor, asked: Nothing) -> UserAnswer:
    account, _, charge, count = spent_by(desk, visitor)
    left = UNLIMITED_USD * NANO if account.unlimited else left_of(account)
    return UserAnswer(
        data=UserSelf(
            id=number_of(visitor.account),
            username=visitor.name,
            display_name=visitor.account,
            quota=quota_units(left),
            used_quota=quota_units(charge),
            request_count=count,
        )
    )


def models(desk: Desk, visitor: Visitor, asked: Nothing) -> NamesAnswer:
    allowed = [key.limits.models for key in keys_of(desk, visitor)] if visitor.own is not None else [None]
    names = tuple(model.id for model in desk.models if any(each is None or model.id in each for each in allowed))
    return NamesAnswer(data=names)


def listed(desk: Desk, visitor: Visitor, asked: LogPaging) -> LogAnswer:
    size = min(max(asked.page_size or asked.size or 20, 1), 100)
    page = max(asked.p, 1)
    which = _which(desk, visitor, asked)
    if which is None or asked.type not in (_ANY, CONSUMPTION):
        return LogAnswer(data=LogItems(page, size, 0, True, ()))
    skipped = (page - 1) * size
    if skipped >= logbook.MOST_PASSED:
        raise Refused(
            Condition.INVALID, f"Pages reach back {logbook.MOST_PASSED} requests; /api/logs has all of them, by cursor.", param="p"
        )
    with desk.store.read() as connection:
        stop = logbook.stop(connection, which, None)
        total = logbook.count(connection, which, stop)
        found = logbook.page(connection, which, None, size, stop, skipped)
    exact = stop is None and total < logbook.MOST_PASSED
    return LogAnswer(data=LogItems(page, size, total, exact, _items(found, visitor, skipped)))


def of_token(desk: Desk, visitor: Visitor, asked: Nothing) -> TokenLogAnswer:
    which = logbook.Which(visitor.account, desk.now() - _ORDINARY_S, _LATEST, visitor.key)
    with desk.store.read() as connection:
        found = logbook.page(connection, which, None, _OF_TOKEN, logbook.stop(connection, which, None))
    return TokenLogAnswer(data=_items(found, visitor, 0))


def stat(desk: Desk, visitor: Visitor, asked: LogPaging) -> StatAnswer:
    which = _which(desk, visitor, asked)
    if which is None or asked.type not in (_ANY, CONSUMPTION):
        return StatAnswer(data=Stat(0, 0, 0))
    first, last = asked.start_timestamp // _DAY_S, (asked.end_timestamp or int(_LATEST)) // _DAY_S
    latest = msgspec.structs.replace(which, since=desk.now() - _MINUTE_S, until=_LATEST)
    with desk.store.read() as connection:
        charge = usage.total(connection, usage.Which(visitor.account, first, last, which.key, which.model)).charge
        rpm = logbook.count(connection, latest, logbook.stop(connection, latest, None))
        rows = [each.usage for each in logbook.page(connection, latest, None, _MOST_SUMMED) if each.usage is not None]
    tokens = sum(each.input + each.output for each in rows)
    return StatAnswer(data=Stat(quota_units(charge), rpm, tokens if rpm <= _MOST_SUMMED else tokens * rpm // _MOST_SUMMED))


def _which(desk: Desk, visitor: Visitor, asked: LogPaging) -> logbook.Which | None:
    """What is looked for; None if it is a key that there is not."""
    key = visitor.own
    if asked.token_name:
        named = [each.id for each in keys_of(desk, visitor) if each.name == asked.token_name]
        if not named:
            return None
        key = named[0]
    until = asked.end_timestamp + 1.0 if asked.end_timestamp else _LATEST
    since = float(asked.start_timestamp) or min(until, desk.now()) - _ORDINARY_S
    return logbook.Which(visitor.account, since, until, key, asked.model_name or None)


def _items(found: Sequence[Entry], visitor: Visitor, skipped: int) -> tuple[LogItem, ...]:
    return tuple(_item(entry, visitor, number) for number, entry in enumerate(found, skipped + 1))


def _item(entry: Entry, visitor: Visitor, number: int) -> LogItem:
    other = {"ending": entry.ending, "status": entry.status, "provider": entry.provider, "price_version": entry.price_version}
    return LogItem(
        id=number,
        user_id=number_of(entry.account),
        created_at=int(entry.at),
        username=visitor.name,
        token_name=entry.key_name,
        model_name=entry.model,
        quota=quota_units(entry.charge or 0),
        prompt_tokens=entry.usage.input if entry.usage is not None else 0,
        completion_tokens=entry.usage.output if entry.usage is not None else 0,
        use_time=int((entry.total_ms or 0.0) / 1000),
        is_stream=entry.stream,
        request_id=entry.id,
        other=msgspec.json.encode(other).decode(),
    )


_SELF = "/api/log/self"

ENDPOINTS: Sequence[Endpoint] = (
    Endpoint("GET", "/api/user/self", "Who asks, what is left and what was used", Nothing, UserAnswer, user, PANEL),
    Endpoint("GET", "/api/user/models", "The models that may be used", Nothing, NamesAnswer, models, PANEL),
    Endpoint("GET", _SELF, "Requests as CometAPI lists them", LogPaging, LogAnswer, listed, PANEL, aliases=(f"{_SELF}/",)),
    Endpoint("GET", f"{_SELF}/stat", "Quota of some days, requests and tokens of a minute", LogPaging, StatAnswer, stat, PANEL),
    Endpoint(
        "GET", "/api/log/token", "The latest requests of the key that asks", Nothing, TokenLogAnswer, of_token, PANEL, key_in_query=True
    ),
)
