"""`/api/usage/token`, `/user/quota`, `/v1/dashboard/billing/*`: usage and balance in the shapes that clients of CometAPI know, and panels
that read a balance as OpenAI had it. A key hears of its own spend and its account's credit, a token of all of the account.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, UnsetType

from halley.control.account.endpoint import Endpoint, Nothing, Visitor
from halley.control.account.figures import days, shown
from halley.control.account.manners import OWN
from halley.control.account.panel_keys import NEVER, PANEL, keys_of
from halley.control.desk import Desk
from halley.errors import Condition, Refused
from halley.money import NANO, NanoDollars, quota_units
from halley.store import customers, usage
from halley.store.spending import NOTHING_USED, of_keys
from halley.store.values import INFERENCE, Account, Key

UNLIMITED_USD = 100_000_000
_ALL_DAYS = (0, 1 << 20)
_MOST_DAYS = 366


class TokenUsage(msgspec.Struct, frozen=True, kw_only=True):
    """In quota units: `total_used` by this key, `total_available` to its account. `expires_at` is 0 for never."""

    object: str = "token_usage"
    name: str
    total_granted: int
    total_used: int
    total_available: int
    unlimited_quota: bool
    model_limits: dict[str, bool]
    model_limits_enabled: bool
    expires_at: int


class TokenUsageAnswer(msgspec.Struct, frozen=True, kw_only=True):
    code: bool = True
    message: str = "ok"
    data: TokenUsage


class Dates(msgspec.Struct, frozen=True):
    start_date: str | None = None
    end_date: str | None = None


class QuotaOfKey(msgspec.Struct, frozen=True):
    name: str
    remain_quota: float
    used_quota: float


class QuotaOfDay(msgspec.Struct, frozen=True):
    token_name: str
    quota_used: float
    request_count: int


class Quota(msgspec.Struct, frozen=True, omit_defaults=True):
    """In dollars; -1 is unlimited. The daily part is there when both dates were given."""

    username: str
    total_quota: float
    total_used_quota: float
    request_count: int
    keys: tuple[QuotaOfKey, ...]
    daily_quota: dict[str, list[QuotaOfDay]] | UnsetType = UNSET


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """In dollars: what was spent and what is left, together. `access_until` is 0 for never."""

    object: str = "billing_subscription"
    has_payment_method: bool = True
    soft_limit_usd: float
    hard_limit_usd: float
    system_hard_limit_usd: float
    access_until: int


class BillingUsage(msgspec.Struct, frozen=True, kw_only=True):
    """In hundredths of a dollar, of all days: what is left is the limit less this."""

    object: str = "list"
    total_usage: float


def of_token(desk: Desk, visitor: Visitor, asked: Nothing) -> TokenUsageAnswer:
    account, key, charge, _ = spent_by(desk, visitor)
    room = _room(desk, account, key)
    used, available = quota_units(charge), quota_units(room or 0)
    models = (key.limits.models or ()) if key is not None else ()
    expires_at = key.limits.expires_at if key is not None else None
    return TokenUsageAnswer(
        data=TokenUsage(
            name=visitor.name,
            total_granted=used + available,
            total_used=used,
            total_available=available,
            unlimited_quota=room is None,
            model_limits=dict.fromkeys(models, True),
            model_limits_enabled=key is not None and key.limits.models is not None,
            expires_at=int(expires_at or 0),
        )
    )


def quota(desk: Desk, visitor: Visitor, asked: Dates) -> Quota:
    account, _, charge, count = spent_by(desk, visitor)
    found = keys_of(desk, visitor)
    daily: dict[str, list[QuotaOfDay]] | UnsetType = UNSET
    with desk.store.read() as connection:
        spent = of_keys(connection, [key.id for key in found], desk.now())
        if asked.start_date is not None and asked.end_date is not None:
            first, last = days(asked.start_date, asked.end_date, desk.now(), ("start_date", "end_date"))
            if last - first >= _MOST_DAYS:
                raise Refused(Condition.INVALID, f"start_date and end_date may be {_MOST_DAYS} days apart.", param="start_date")
            names = customers.key_names(connection, visitor.account)
            which = usage.Which(visitor.account, first, last, visitor.own)
            daily = {}
            for (day, key), sums in usage.page(connection, which, ("day", "key"), None, 100_000):
                used = QuotaOfDay(names.get(str(key), ""), _usd(sums.charge), sums.requests)
                daily.setdefault(shown(int(day)), []).append(used)
    keys = tuple(QuotaOfKey(key.name, _remaining(key, spent[key.id].left), _usd(spent[key.id].used.charge)) for key in found)
    left = float(NEVER) if account.unlimited else _usd(left_of(account))
    return Quota(visitor.name, left, _usd(charge), count, keys, daily)


def subscription(desk: Desk, visitor: Visitor, asked: Nothing) -> Subscription:
    account, key, charge, _ = spent_by(desk, visitor)
    room = _room(desk, account, key)
    limit = UNLIMITED_USD if room is None else _usd(room + charge)
    until = key.limits.expires_at if key is not None else None
    return Subscription(soft_limit_usd=limit, hard_limit_usd=limit, system_hard_limit_usd=limit, access_until=int(until or 0))


def billing_usage(desk: Desk, visitor: Visitor, asked: Dates) -> BillingUsage:
    """The dates are read and not applied: these clients take the answer from the limit, which has all that was ever spent."""
    return BillingUsage(total_usage=_usd(spent_by(desk, visitor)[2] * 100))


def spent_by(desk: Desk, visitor: Visitor) -> tuple[Account, Key | None, NanoDollars, int]:
    """The account, the key that asks, and what was charged for how many requests: the key's, or all of the account for a token."""
    with desk.store.read() as connection:
        account = customers.account(connection, visitor.account)
        if visitor.key is not None:
            used = usage.of_keys(connection, [visitor.key]).get(visitor.key, NOTHING_USED)
            return account, customers.find_key(connection, visitor.key), used.charge, used.requests
        total = usage.total(connection, usage.Which(visitor.account, *_ALL_DAYS))
        return account, None, total.charge, total.requests


def _room(desk: Desk, account: Account, key: Key | None) -> NanoDollars | None:
    """What may still be spent by a key, or by all of the account: of its credit, and of its budget if that is less; None is unlimited."""
    rooms = [] if account.unlimited else [left_of(account)]
    if key is not None:
        with desk.store.read() as connection:
            budget = of_keys(connection, [key.id], desk.now())[key.id].left
        rooms += [budget] if budget is not None else []
    return min(rooms, default=None)


def _remaining(key: Key, left: NanoDollars | None) -> float:
    if INFERENCE not in key.limits.allowed:
        return 0
    return NEVER if left is None else _usd(left)


def left_of(account: Account) -> NanoDollars:
    return 0 if account.unlimited else account.available + account.held


def _usd(amount: NanoDollars) -> float:
    """Shown, never billed."""
    return amount / NANO


BILLING = OWN._replace(lenient=True)
_SUBSCRIPTION = "/dashboard/billing/subscription"
_USAGE = "/dashboard/billing/usage"

ENDPOINTS: Sequence[Endpoint] = (
    Endpoint(
        "GET",
        "/api/usage/token",
        "The quota of the key that asks",
        Nothing,
        TokenUsageAnswer,
        of_token,
        PANEL,
        aliases=("/api/usage/token/",),
    ),
    Endpoint("GET", "/user/quota", "What is left and what was used, by key and day", Dates, Quota, quota, PANEL, key_in_query=True),
    Endpoint(
        "GET", f"/v1{_SUBSCRIPTION}", "The credit as OpenAI had it", Nothing, Subscription, subscription, BILLING, aliases=(_SUBSCRIPTION,)
    ),
    Endpoint("GET", f"/v1{_USAGE}", "The spend as OpenAI had it", Dates, BillingUsage, billing_usage, BILLING, aliases=(_USAGE,)),
)
