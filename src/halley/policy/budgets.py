"""Budgets: at which level one stands, when its periods begin, and whose end user a request names. Pure; time is an argument.

A budget is an amount that its level may spend in a period. What is spent in one period of one budget is a pot; a budget of end users has a
pot for each of them. A request is charged to the pots of the moment at which it was admitted, however long it runs.

| reset | its periods begin | anchor |
|---|---|---|
| `none` | once | none |
| `day` | at 00:00 UTC | shifts the hour |
| `week` | on Monday, 00:00 UTC | shifts the day and hour |
| `month` | on the 1st, 00:00 UTC | shifts the day and hour; a day that a month lacks is its last |
| `6h`, `30d` | every so many hours or days since 1970 | since the anchor instead |
"""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec

from halley.money import NanoDollars, show

LevelName = Literal["account", "team", "key", "user"]
# In the order in which they are held.
LEVELS: Final[tuple[LevelName, ...]] = ("account", "team", "key", "user")
NONE: Final = "none"
MOST_END_USER = 256
_HOUR_S, _DAY_S = 3600, 86400
_MONDAY: Final = 4 * _DAY_S  # 1970-01-05, the first one of Unix time
_SPANS: Final = {"day": (_DAY_S, 0), "week": (7 * _DAY_S, _MONDAY)}
_CUSTOM = re.compile(r"([1-9][0-9]{0,4})([hd])")
_NAMES: Final[dict[str, str]] = {"account": "account", "team": "team", "key": "key", "user": "end user"}
_EACH: Final[dict[str, str]] = {NONE: "in all", "day": "a day", "week": "a week", "month": "a month"}


class Pot(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One period of one budget; `start` is when the period began, Unix seconds, 0 for a budget without periods. `user` is the end user
    whose pot it is, at that level alone; requests that name none share the empty one."""

    budget: str
    start: int
    user: str = ""


class BudgetRow(msgspec.Struct, frozen=True):
    """A budget in force. `subject` is the account's or key's id, the team's name or the end user; at the level `user` an empty one is
    every end user that has no budget of its own. `anchor` is Unix seconds."""

    id: str
    account: str
    level: LevelName
    subject: str
    amount: NanoDollars
    reset: str = NONE
    anchor: int | None = None


class Period(msgspec.Struct, frozen=True):
    """From `start` on, up to `until`, which belongs to the next one; None for a period that never ends."""

    start: int
    until: int | None


_ALWAYS = Period(0, None)


def read_reset(text: str) -> str:
    """A reset as it is kept. Raises ValueError that says which there are."""
    word = text.strip().lower() or NONE
    if word in (NONE, "month") or word in _SPANS or _CUSTOM.fullmatch(word):
        return word
    raise ValueError(f"{text!r} is no reset; there are none, day, week, month, and hours or days such as 6h or 30d")


def period(reset: str, anchor: int | None, now: float) -> Period:
    """The period of a budget at a moment, Unix seconds."""
    if reset == NONE:
        return _ALWAYS
    moment = int(now // 1)
    if reset == "month":
        return _month(anchor or 0, moment)
    span, origin = _SPANS.get(reset) or (_span(reset), 0)
    origin = origin if anchor is None else anchor
    start = moment - (moment - origin) % span
    return Period(start, start + span)


def _span(reset: str) -> int:
    found = _CUSTOM.fullmatch(reset)
    if found is None:
        raise ValueError(f"{reset!r} is no reset")
    return int(found[1]) * (_HOUR_S if found[2] == "h" else _DAY_S)


def _month(anchor: int, moment: int) -> Period:
    since, today = datetime.fromtimestamp(anchor, UTC), datetime.fromtimestamp(moment, UTC)
    months = today.year * 12 + today.month - 1
    if _in_month(months, since) > moment:
        months -= 1
    return Period(_in_month(months, since), _in_month(months + 1, since))


def _in_month(months: int, since: datetime) -> int:
    """The anchor's day and time of day in a month, counted from the year 0."""
    year, month = months // 12, months % 12 + 1
    day = min(since.day, monthrange(year, month)[1])
    return int(datetime(year, month, day, since.hour, since.minute, since.second, tzinfo=UTC).timestamp())


def moment(at: int) -> str:
    """A moment for a person, in UTC."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


def described(row: BudgetRow, user: str = "") -> str:
    """Whose budget it is and how much, for a message."""
    subject = user if row.level == "user" else row.subject
    whose = f'{_NAMES[row.level]} "{subject}"' if subject else "requests that name no end user"
    return f"the budget of {whose} ({show(row.amount)} USD {_EACH.get(row.reset, f'every {row.reset}')})"
