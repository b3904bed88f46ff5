"""`/api/usage` and `/api/balance`: what was used by day, key and model, out of the days that the fold keeps, and what credit is left."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from halley.control.account.endpoint import Endpoint, Nothing, Table, Visitor, cursor, place_of
from halley.control.account.manners import OWN
from halley.control.desk import Desk
from halley.errors import Condition, Refused
from halley.money import NanoDollars, show
from halley.store import customers, usage
from halley.store.usage import DAY_S, GROUPS, Used

_EPOCH = date(1970, 1, 1)
# The days that are shown when nobody says which.
_ORDINARY = 30


class UsageAsked(msgspec.Struct, frozen=True, rename={"first": "from"}):
    """`from` and `to` are days (UTC), both included. `group_by` names what rows are told apart by: day, key, model."""

    first: str | None = None
    to: str | None = None
    group_by: str = "day,model"
    key: str | None = None
    model: str | None = None
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 100
    cursor: str | None = None


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """`failed` of the requests ended without an answer that could be passed on, and cost nothing or what was delivered. Cached tokens are
    part of the input, those of reasoning part of the output."""

    requests: int
    failed: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    charge_nano: NanoDollars
    charge_usd: str


class UsageRow(Sums, frozen=True, kw_only=True):
    """Null is what the rows are not told apart by."""

    day: str | None
    key: str | None
    key_name: str | None
    model: str | None


class UsagePage(msgspec.Struct, frozen=True):
    """`total` is of all days that were asked for, on whatever page."""

    data: tuple[UsageRow, ...]
    next_cursor: str | None
    total: Sums


class Balance(msgspec.Struct, frozen=True):
    """Money is in nano-dollars and, for people, in dollars. `left` can still be spent, `held` of it is set aside for requests that run;
    `owed` is what an unlimited account has spent."""

    account: str
    credit: str
    left_nano: NanoDollars
    held_nano: NanoDollars
    owed_nano: NanoDollars
    left_usd: str
    held_usd: str
    owed_usd: str


def spent(desk: Desk, visitor: Visitor, asked: UsageAsked) -> UsagePage:
    groups = _groups(asked.group_by)
    first, last = days(asked.first, asked.to, desk.now())
    after = _after(asked.cursor, groups)
    with desk.store.read() as connection:
        key = visitor.own or asked.key
        if asked.key is not None and visitor.own not in (None, asked.key):
            raise Refused(Condition.NOT_ALLOWED, "This key reads its own usage only.", param="key")
        which = usage.Which(visitor.account, first, last, key, asked.model)
        lines = usage.page(connection, which, groups, after, asked.limit + 1)
        total = usage.total(connection, which)
        names = customers.key_names(connection, visitor.account) if "key" in groups else {}
    rows = tuple(_row(dict(zip(groups, line.group, strict=True)), line.used, names) for line in lines[: asked.limit])
    return UsagePage(rows, cursor(lines[asked.limit - 1].group) if len(lines) > asked.limit else None, Sums(**sums(total)))


def balance(desk: Desk, visitor: Visitor, asked: Nothing) -> Balance:
    with desk.store.read() as connection:
        found = customers.account(connection, visitor.account)
    left = found.available + found.held
    credit = "unlimited" if found.unlimited else "prepaid"
    return Balance(found.id, credit, left, found.held, found.owed, show(left), show(found.held), show(found.owed))


def sums(used: Used) -> dict[str, Any]:
    return {
        "requests": used.requests,
        "failed": used.failed,
        "input_tokens": used.input,
        "output_tokens": used.output,
        "cache_read_tokens": used.cache_read,
        "cache_write_tokens": used.cache_write,
        "reasoning_tokens": used.reasoning,
        "charge_nano": used.charge,
        "charge_usd": show(used.charge),
    }


def days(first: str | None, last: str | None, now: float, names: tuple[str, str] = ("from", "to")) -> tuple[int, int]:
    """The first and the last day as the store numbers them. Raises Refused, which calls the fields by their `names`."""
    to = _day(names[1], last) if last is not None else int(now // DAY_S)
    since = _day(names[0], first) if first is not None else to - _ORDINARY + 1
    if since > to:
        raise later(*names)
    return since, to


def later(first: str, last: str) -> Refused:
    return Refused(Condition.INVALID, f"{first} is later than {last}.", param=first)


def shown(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).isoformat()


def moment(param: str, text: str) -> float:
    """An ISO date or time, UTC unless it says otherwise, as Unix seconds. Raises Refused."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(Condition.INVALID, f"{param} must be an ISO date or time such as 2027-01-31.", param=param) from None
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()


def _day(param: str, text: str) -> int:
    try:
        return (date.fromisoformat(text) - _EPOCH).days
    except ValueError:
        raise Refused(Condition.INVALID, f"{param} must be a date such as 2027-01-31.", param=param) from None


def _groups(text: str) -> tuple[str, ...]:
    named = {part.strip() for part in text.split(",")}
    if not named or not named <= set(GROUPS):
        raise Refused(Condition.INVALID, f"group_by must be some of {', '.join(GROUPS)}.", param="group_by")
    return tuple(group for group in GROUPS if group in named)


def _after(text: str | None, groups: tuple[str, ...]) -> tuple[int | str, ...] | None:
    if text is None:
        return None
    place = place_of(text, tuple[int | str, ...])
    if [type(each) for each in place] != [int if group == "day" else str for group in groups]:
        raise Refused(Condition.INVALID, "The cursor belongs to a question with another group_by.", param="cursor")
    return place


def _row(group: dict[str, Any], used: Used, names: dict[str, str]) -> UsageRow:
    key, day = group.get("key"), group.get("day")
    told = names.get(key) if key is not None else None
    return UsageRow(day=shown(day) if day is not None else None, key=key, key_name=told, model=group.get("model"), **sums(used))


def _table(page: UsagePage) -> Table:
    return Table(UsageRow, page.data, page.next_cursor)


ENDPOINTS: Sequence[Endpoint] = (
    Endpoint("GET", "/api/usage", "Usage by day, key and model", UsageAsked, UsagePage, spent, OWN, as_table=_table),
    Endpoint("GET", "/api/balance", "What credit the account has", Nothing, Balance, balance, OWN),
)
