"""`/api/token/`: keys in the shapes that clients of CometAPI know. What they say and change is what `/api/keys` says and changes.

Quota is counted in units, 500,000 a dollar; a key's own is its budget, and without one it spends what its account has. Fields that other
gateways know and this one has nothing for are read past.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from halley.control import plan
from halley.control.account.endpoint import Endpoint, Manners, Visitor
from halley.control.account.fields import checked, models, moment_of, named
from halley.control.account.keys import status_of
from halley.control.desk import Desk
from halley.errors import Condition, Refused
from halley.money import NANO_PER_QUOTA, NanoDollars, quota_units
from halley.policy.budgets import NONE
from halley.secret import Secret
from halley.store import budgets, customers, keytext
from halley.store.customers import Unknown
from halley.store.spending import Spending, of_keys
from halley.store.values import ADMIN, INFERENCE, USAGE_READ, Key, Limits

NEVER = -1
_ENABLED, _DISABLED, _EXPIRED, _EXHAUSTED = 1, 2, 3, 4
_MOST_QUOTA = 1 << 50
_STATUSES = {"active": _ENABLED, "disabled": _DISABLED, "expired": _EXPIRED}
_NAMES = re.compile(r"[,\s]+")
_GONE = frozenset({Condition.NOT_FOUND})
_UNWANTED = frozenset({Condition.CONFLICT})


class PanelFailed(msgspec.Struct, frozen=True, kw_only=True):
    success: bool = False
    message: str
    request_id: str


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What every answer begins with."""

    success: bool = True
    message: str = ""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A key. `key` is masked, but in the answer that makes it; times are Unix seconds, -1 is never; `model_limits` are separated by commas,
    `allow_ips` by line ends. `remain_quota` is what is left of the key's own quota; without one, and of a key that calls no models, 0."""

    id: int
    user_id: int
    key: str
    status: int
    name: str
    created_time: int
    accessed_time: int
    expired_time: int
    remain_quota: int
    unlimited_quota: bool
    model_limits_enabled: bool
    model_limits: str
    allow_ips: str | None
    used_quota: int
    group: str = ""
    cross_group_retry: bool = False


class TokenPage(msgspec.Struct, frozen=True):
    page: int
    page_size: int
    total: int
    items: tuple[Record, ...]


class TokenPageAnswer(Done, frozen=True, kw_only=True):
    data: TokenPage


class TokensAnswer(Done, frozen=True, kw_only=True):
    data: tuple[Record, ...]


class TokenAnswer(Done, frozen=True, kw_only=True):
    data: Record


class Paging(msgspec.Struct, frozen=True):
    """Pages begin at 1; `size` is an older name of `page_size`."""

    p: int = 1
    page_size: int | None = None
    size: int | None = None


class Sought(msgspec.Struct, frozen=True):
    """A part of a name, or of what is shown of a key; a whole key finds its own."""

    keyword: str = ""
    token: str = ""


class Numbered(msgspec.Struct, frozen=True):
    id: int


class TokenWanted(msgspec.Struct, frozen=True):
    name: str
    expired_time: int = NEVER
    remain_quota: int = 0
    unlimited_quota: bool = True
    model_limits_enabled: bool = False
    model_limits: str | tuple[str, ...] = ""
    allow_ips: str | None = None
    group: str = ""


class TokenChanged(msgspec.Struct, frozen=True):
    """What is absent stays as it is."""

    id: int
    name: str | UnsetType = UNSET
    status: int | UnsetType = UNSET
    expired_time: int | UnsetType = UNSET
    remain_quota: int | UnsetType = UNSET
    unlimited_quota: bool | UnsetType = UNSET
    model_limits_enabled: bool | UnsetType = UNSET
    model_limits: str | tuple[str, ...] | UnsetType = UNSET
    allow_ips: str | UnsetType | None = UNSET
    group: str = ""


class Several(msgspec.Struct, frozen=True):
    ids: tuple[int, ...]


class CountAnswer(Done, frozen=True, kw_only=True):
    data: int


def listed(desk: Desk, visitor: Visitor, asked: Paging) -> TokenPageAnswer:
    size = min(max(asked.page_size or asked.size or 20, 1), 100)
    page = max(asked.p, 1)
    found = keys_of(desk, visitor)
    shown = found[(page - 1) * size : page * size]
    with desk.store.read() as connection:
        spent = of_keys(connection, [key.id for key in shown], desk.now())
    return TokenPageAnswer(data=TokenPage(page, size, len(found), _records(spent, visitor, desk.now(), shown)))


def sought(desk: Desk, visitor: Visitor, asked: Sought) -> TokensAnswer:
    whole = None
    if keytext.well_formed(asked.token):
        with desk.store.read() as connection:
            whole = customers.key_of_text(connection, desk.store.pepper, Secret(asked.token), desk.now())
    found = [
        key
        for key in keys_of(desk, visitor)
        if asked.keyword in key.name and (asked.token in key.shown or (whole is not None and whole.id == key.id))
    ]
    with desk.store.read() as connection:
        spent = of_keys(connection, [key.id for key in found[:100]], desk.now())
    return TokensAnswer(data=_records(spent, visitor, desk.now(), found[:100]))


def read(desk: Desk, visitor: Visitor, asked: Numbered) -> TokenAnswer:
    key = _numbered(desk, visitor, asked.id)
    with desk.store.read() as connection:
        (record,) = _records(of_keys(connection, [key.id], desk.now()), visitor, desk.now(), [key])
    return TokenAnswer(data=record)


def create(desk: Desk, visitor: Visitor, wanted: TokenWanted) -> TokenAnswer:
    _ordinary_group(wanted.group)
    quota = _quota(wanted.remain_quota)
    # CometAPI advises a key with the quota 0 for reading balances: it calls nothing.
    scopes = None if wanted.unlimited_quota or quota else (USAGE_READ,)
    allowed = checked("model_limits", models, _listed(wanted.model_limits)) if wanted.model_limits_enabled else None
    limits = Limits(allowed, _addresses(wanted.allow_ips), expires_at=_expiry(wanted.expired_time), scopes=scopes)
    with desk.store.begin() as connection:
        text, key = customers.create_key(connection, desk.store.pepper, named(wanted.name), visitor.account, limits, desk.now())
        if not wanted.unlimited_quota and quota:
            budgets.set_budget(connection, (key.account, "key", key.id), quota * NANO_PER_QUOTA, NONE, None, desk.now())
        (record,) = _records(of_keys(connection, [key.id], desk.now()), visitor, desk.now(), [key])
    return TokenAnswer(data=msgspec.structs.replace(record, key=text.reveal()))


def change(desk: Desk, visitor: Visitor, asked: TokenChanged) -> TokenAnswer:
    _ordinary_group(asked.group)
    key = _numbered(desk, visitor, asked.id)
    limits = key.limits
    if asked.expired_time is not UNSET:
        limits = msgspec.structs.replace(limits, expires_at=_expiry(asked.expired_time))
    if asked.allow_ips is not UNSET:
        limits = msgspec.structs.replace(limits, ips=_addresses(asked.allow_ips))
    if asked.model_limits_enabled is False:
        limits = msgspec.structs.replace(limits, models=None)
    elif asked.model_limits is not UNSET:
        limits = msgspec.structs.replace(limits, models=checked("model_limits", models, _listed(asked.model_limits)))
    disabled_at = key.disabled_at if asked.status is UNSET else desk.now() if asked.status == _DISABLED else None
    name = key.name if asked.name is UNSET else named(asked.name)
    with desk.store.begin() as connection:
        spent = of_keys(connection, [key.id], desk.now())[key.id]
        quota = _quota_of(key, spent, asked)
        if quota.budget is None:
            budgets.lift_of_key(connection, key, desk.now())
        elif quota.budget is not UNSET:
            reset, anchor = (NONE, None) if spent.budget is None else (spent.budget.row.reset, spent.budget.row.anchor)
            budgets.set_budget(connection, (key.account, "key", key.id), quota.budget, reset, anchor, desk.now())
        limits = msgspec.structs.replace(limits, scopes=quota.scopes)
        changed = customers.change_key(connection, msgspec.structs.replace(key, name=name, limits=limits, disabled_at=disabled_at))
        (record,) = _records(of_keys(connection, [key.id], desk.now()), visitor, desk.now(), [changed])
    return TokenAnswer(data=record)


class _Quota(NamedTuple):
    """What a change of a key's quota makes of the key: its scopes and its budget, None to lift that, UNSET to leave it."""

    scopes: tuple[str, ...] | None
    budget: NanoDollars | UnsetType | None = UNSET


def _quota_of(key: Key, spent: Spending, asked: TokenChanged) -> _Quota:
    """Raises Refused."""
    scopes, calls = key.limits.scopes, INFERENCE in key.limits.allowed
    if asked.unlimited_quota is True:
        return _Quota(scopes if calls else None, None)
    if asked.remain_quota is UNSET if spent.budget is not None else asked.unlimited_quota is UNSET:
        return _Quota(scopes)  # the quota is not spoken of, or what is left of one that the key does not have
    units = 0 if asked.remain_quota is UNSET else _quota(asked.remain_quota)
    if spent.budget is None and not units:
        return _Quota((USAGE_READ,) if calls else scopes)
    if spent.budget is not None and units == quota_units(spent.left or 0):
        return _Quota(scopes)  # a record that is sent back as it was read
    return _Quota(scopes if calls else None, spent.state.spent + units * NANO_PER_QUOTA)


def revoke(desk: Desk, visitor: Visitor, asked: Numbered) -> Done:
    key = _numbered(desk, visitor, asked.id)
    with desk.store.begin() as connection:
        customers.revoke_key(connection, key.id, desk.now(), visitor.account)
    return Done()


def revoke_several(desk: Desk, visitor: Visitor, asked: Several) -> CountAnswer:
    """Those that there are, all or none."""
    found = [key for key in keys_of(desk, visitor) if _number(key) in asked.ids]
    with desk.store.begin() as connection:
        for key in found:
            customers.revoke_key(connection, key.id, desk.now(), visitor.account)
    return CountAnswer(data=len(found))


def keys_of(desk: Desk, visitor: Visitor) -> list[Key]:
    """The keys that the visitor may see, the newest first."""
    with desk.store.read() as connection:
        return customers.keys_of(connection, visitor.account, 1 << 31, only=visitor.own)


def _numbered(desk: Desk, visitor: Visitor, number: int) -> Key:
    """Raises Unknown."""
    for key in keys_of(desk, visitor):
        if _number(key) == number:
            return key
    raise Unknown(f"There is no key with the id {number}.")


def number_of(account: str) -> int:
    """The account as a number: whose keys and requests they are."""
    return zlib.crc32(account.encode())


def _number(key: Key) -> int:
    """The key's id as a number that JavaScript can count to: 52 of its 64 bits."""
    return int(key.id.removeprefix("key_")[:13], 16)


def _records(spent: Mapping[str, Spending], visitor: Visitor, now: float, found: Sequence[Key]) -> tuple[Record, ...]:
    return tuple(_record(key, spent[key.id], visitor, now) for key in found)


def _record(key: Key, spent: Spending, visitor: Visitor, now: float) -> Record:
    limits, left = key.limits, spent.left
    status = _STATUSES.get(status_of(key, now), _DISABLED)
    return Record(
        id=_number(key),
        user_id=number_of(visitor.account),
        key=key.shown,
        status=_EXHAUSTED if status == _ENABLED and left == 0 else status,
        name=key.name,
        created_time=int(key.created_at),
        accessed_time=int(spent.used.last_at),
        expired_time=int(limits.expires_at) if limits.expires_at is not None else NEVER,
        remain_quota=quota_units(left or 0),
        unlimited_quota=left is None and INFERENCE in limits.allowed,
        model_limits_enabled=limits.models is not None,
        model_limits=",".join(limits.models or ()),
        allow_ips="\n".join(limits.ips) if limits.ips is not None else None,
        used_quota=quota_units(spent.used.charge),
    )


def _quota(units: int) -> int:
    """Raises Refused."""
    if not 0 <= units <= _MOST_QUOTA:
        raise Refused(Condition.INVALID, f"remain_quota must be 0 to {_MOST_QUOTA} units, 500,000 a dollar.", param="remain_quota")
    return units


def _ordinary_group(group: str) -> None:
    if group not in ("", "default", "auto"):
        raise Refused(Condition.INVALID, "There are no groups here: send group empty.", param="group")


def _listed(names: str | tuple[str, ...]) -> tuple[str, ...]:
    return tuple(part for part in _NAMES.split(names) if part) if isinstance(names, str) else names


def _addresses(text: str | None) -> tuple[str, ...] | None:
    return checked("allow_ips", plan.networks, _listed(text) or None) if text else None


def _expiry(seconds: int) -> float | None:
    return None if seconds in (NEVER, 0) else moment_of("expired_time", float(min(seconds, 1 << 62)))


def _refuse(refusal: Refused, request_id: str) -> PanelFailed:
    return PanelFailed(message=refusal.message, request_id=request_id)


PANEL = Manners(_refuse, PanelFailed, lenient=True)
_BARE = ("/api/token",)
_CHANGED = _GONE | _UNWANTED

ENDPOINTS: Sequence[Endpoint] = (
    Endpoint("GET", "/api/token/", "Lists keys as CometAPI does", Paging, TokenPageAnswer, listed, PANEL, aliases=_BARE),
    Endpoint("POST", "/api/token/", "Makes a key", TokenWanted, TokenAnswer, create, PANEL, ADMIN, True, refused=_UNWANTED, aliases=_BARE),
    Endpoint("PUT", "/api/token/", "Changes a key", TokenChanged, TokenAnswer, change, PANEL, ADMIN, True, refused=_CHANGED, aliases=_BARE),
    Endpoint("GET", "/api/token/search", "Finds keys by a part of the name or of the key", Sought, TokensAnswer, sought, PANEL),
    Endpoint("POST", "/api/token/batch", "Revokes keys", Several, CountAnswer, revoke_several, PANEL, ADMIN, True, refused=_UNWANTED),
    Endpoint("GET", "/api/token/{id}", "One key", Numbered, TokenAnswer, read, PANEL, refused=_GONE),
    Endpoint("DELETE", "/api/token/{id}", "Revokes a key", Numbered, Done, revoke, PANEL, ADMIN, True, refused=_CHANGED),
)
