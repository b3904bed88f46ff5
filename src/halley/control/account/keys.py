"""`/api/keys`: the keys of an account. A key's text is in the answer that makes it, and in no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from halley.control import plan
from halley.control.account.endpoint import Endpoint, Visitor, cursor, place_of
from halley.control.account.fields import BudgetWanted, Names, checked, models, moment_of, named
from halley.control.account.manners import OWN
from halley.control.desk import Desk
from halley.errors import Condition
from halley.money import NanoDollars, show
from halley.policy.budgets import period
from halley.secret import Secret
from halley.store import budgets, customers
from halley.store.spending import Spending, of_keys
from halley.store.values import ADMIN, Key, Limits

Count = Annotated[int, Meta(ge=1, le=10**9)]
_MOST_OVERLAP_S = 30 * 86400
_GONE = frozenset({Condition.NOT_FOUND})
_UNWANTED = frozenset({Condition.CONFLICT})


class BudgetOfKey(msgspec.Struct, frozen=True, kw_only=True):
    """What a key may spend in a period, and what it has in the one that goes on until `until`, Unix seconds; null is never."""

    id: str
    usd: str
    reset: str
    anchor: int | None
    until: int | None
    spent_nano: NanoDollars
    left_nano: NanoDollars
    left_usd: str


class KeyState(msgspec.Struct, frozen=True, kw_only=True):
    """A key without its text. Limits of null are unlimited; times are Unix seconds; `used` is all it was ever charged."""

    id: str
    name: str
    account: str
    shown: str
    status: str
    scopes: tuple[str, ...]
    models: Names
    routes: Names
    ips: Names
    rpm: int | None
    tpm: int | None
    concurrency: int | None
    team: str | None
    budget: BudgetOfKey | None
    created_at: float
    expires_at: float | None
    last_used_at: float | None
    old_text_until: float | None
    source: str
    requests: int
    used_nano: NanoDollars
    used_usd: str


class NewKey(KeyState, frozen=True, kw_only=True):
    """`key` is the text, which is shown this once."""

    key: str


class KeyPage(msgspec.Struct, frozen=True):
    data: tuple[KeyState, ...]
    next_cursor: str | None


class Page(msgspec.Struct, frozen=True):
    limit: Annotated[int, Meta(ge=1, le=100)] = 50
    cursor: str | None = None


class Wanted(msgspec.Struct, frozen=True):
    """What a key may do. `expires_at` is an ISO date or time, or Unix seconds."""

    name: str
    models: Names = None
    routes: Names = None
    ips: Names = None
    rpm: Count | None = None
    tpm: Count | None = None
    concurrency: Count | None = None
    expires_at: str | float | None = None
    scopes: Names = None
    team: str | None = None
    budget: BudgetWanted | None = None


class Changed(msgspec.Struct, frozen=True):
    """What is not named stays as it is; null lifts a limit."""

    key: str
    name: str | UnsetType = UNSET
    models: Names | UnsetType = UNSET
    routes: Names | UnsetType = UNSET
    ips: Names | UnsetType = UNSET
    rpm: Count | UnsetType | None = UNSET
    tpm: Count | UnsetType | None = UNSET
    concurrency: Count | UnsetType | None = UNSET
    expires_at: str | float | UnsetType | None = UNSET
    scopes: Names | UnsetType = UNSET
    team: str | UnsetType | None = UNSET
    budget: BudgetWanted | UnsetType | None = UNSET
    disabled: bool | UnsetType = UNSET


class Which(msgspec.Struct, frozen=True):
    key: str


class Turned(msgspec.Struct, frozen=True):
    """So many seconds the old text stays good."""

    key: str
    overlap_s: Annotated[float, Meta(ge=0, le=_MOST_OVERLAP_S)] = 0.0


def create(desk: Desk, visitor: Visitor, wanted: Wanted) -> NewKey:
    limits = Limits(
        checked("models", models, wanted.models),
        checked("ips", plan.networks, wanted.ips),
        wanted.rpm,
        wanted.tpm,
        wanted.concurrency,
        moment_of("expires_at", wanted.expires_at),
        checked("routes", plan.callable_routes, wanted.routes),
        checked("scopes", plan.known_scopes, wanted.scopes),
        wanted.team,
    )
    with desk.store.begin() as connection:
        text, key = customers.create_key(connection, desk.store.pepper, named(wanted.name), visitor.account, limits, desk.now())
        if wanted.budget is not None:
            budgets.set_budget(connection, (key.account, "key", key.id), *wanted.budget.read(), desk.now())
        return _new(key, text, of_keys(connection, [key.id], desk.now()), desk.now())


def listed(desk: Desk, visitor: Visitor, page: Page) -> KeyPage:
    after = place_of(page.cursor, tuple[float, str]) if page.cursor is not None else None
    with desk.store.read() as connection:
        found = customers.keys_of(connection, visitor.account, page.limit + 1, after, visitor.own)
        rows = found[: page.limit]
        spent = of_keys(connection, [key.id for key in rows], desk.now())
    more = cursor((rows[-1].created_at, rows[-1].id)) if len(found) > page.limit else None
    return KeyPage(tuple(_state(key, spent, desk.now()) for key in rows), more)


def read(desk: Desk, visitor: Visitor, which: Which) -> KeyState:
    with desk.store.read() as connection:
        key = _seen(customers.find_key(connection, which.key, visitor.account), visitor, which.key)
        return _state(key, of_keys(connection, [key.id], desk.now()), desk.now())


def change(desk: Desk, visitor: Visitor, asked: Changed) -> KeyState:
    with desk.store.begin() as connection:
        key = customers.find_key(connection, asked.key, visitor.account)
        disabled_at = key.disabled_at if asked.disabled is UNSET else (key.disabled_at or desk.now()) if asked.disabled else None
        wanted = msgspec.structs.replace(
            key,
            name=key.name if asked.name is UNSET else named(asked.name),
            limits=msgspec.structs.replace(key.limits, **_limits(asked)),
            disabled_at=disabled_at,
        )
        changed = customers.change_key(connection, wanted)
        if asked.budget is None:
            budgets.lift_of_key(connection, key, desk.now())
        elif asked.budget is not UNSET:
            budgets.set_budget(connection, (key.account, "key", key.id), *asked.budget.read(), desk.now())
        return _state(changed, of_keys(connection, [key.id], desk.now()), desk.now())


def rotate(desk: Desk, visitor: Visitor, asked: Turned) -> NewKey:
    with desk.store.begin() as connection:
        text, key = customers.rotate_key(connection, desk.store.pepper, asked.key, desk.now(), asked.overlap_s, visitor.account)
        return _new(key, text, of_keys(connection, [key.id], desk.now()), desk.now())


def revoke(desk: Desk, visitor: Visitor, which: Which) -> KeyState:
    with desk.store.begin() as connection:
        key = customers.revoke_key(connection, which.key, desk.now(), visitor.account)
        return _state(key, of_keys(connection, [key.id], desk.now()), desk.now())


def status_of(key: Key, now: float) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.disabled_at is not None:
        return "disabled"
    return "expired" if key.limits.expires_at is not None and key.limits.expires_at <= now else "active"


def _limits(asked: Changed) -> dict[str, Any]:
    given = {name: value for name in Limits.__struct_fields__ if (value := getattr(asked, name)) is not UNSET}
    checks = {"models": models, "ips": plan.networks, "routes": plan.callable_routes, "scopes": plan.known_scopes}
    for name, check in checks.items():
        if name in given:
            given[name] = checked(name, check, given[name])
    if "expires_at" in given:
        given["expires_at"] = moment_of("expires_at", given["expires_at"])
    return given


def _seen(key: Key, visitor: Visitor, asked: str) -> Key:
    """Raises Unknown: of a key that is none of the visitor's business in the very words of one that does not exist."""
    if visitor.own not in (None, key.id):
        raise customers.no_such_key(asked)
    return key


def _state(key: Key, spent: Mapping[str, Spending], now: float) -> KeyState:
    return KeyState(**_shown(key, spent[key.id], now))


def _new(key: Key, text: Secret, spent: Mapping[str, Spending], now: float) -> NewKey:
    return NewKey(key=text.reveal(), **_shown(key, spent[key.id], now))


def _shown(key: Key, spent: Spending, now: float) -> dict[str, Any]:
    limits = {name: getattr(key.limits, name) for name in Limits.__struct_fields__ if name != "scopes"}
    return {
        "id": key.id,
        "name": key.name,
        "account": key.account,
        "shown": key.shown,
        "status": status_of(key, now),
        "scopes": key.limits.allowed,
        **limits,
        "budget": _budget(spent, now),
        "created_at": key.created_at,
        "last_used_at": spent.used.last_at or None,
        "old_text_until": key.former_until if key.former_until is not None and key.former_until > now else None,
        "source": key.source,
        "requests": spent.used.requests,
        "used_nano": spent.used.charge,
        "used_usd": show(spent.used.charge),
    }


def _budget(spent: Spending, now: float) -> BudgetOfKey | None:
    if spent.budget is None:
        return None
    row, left = spent.budget.row, spent.left or 0
    return BudgetOfKey(
        id=row.id,
        usd=show(row.amount),
        reset=row.reset,
        anchor=row.anchor,
        until=period(row.reset, row.anchor, now).until,
        spent_nano=spent.state.spent,
        left_nano=left,
        left_usd=show(left),
    )


ENDPOINTS: Sequence[Endpoint] = (
    Endpoint("GET", "/api/keys", "Lists keys, the newest first", Page, KeyPage, listed, OWN),
    Endpoint("POST", "/api/keys", "Makes a key", Wanted, NewKey, create, OWN, ADMIN, True, 201, refused=_GONE | _UNWANTED),
    Endpoint("GET", "/api/keys/{key}", "One key, by its id or name", Which, KeyState, read, OWN, refused=_GONE),
    Endpoint("PATCH", "/api/keys/{key}", "Changes a key", Changed, KeyState, change, OWN, ADMIN, True, refused=_GONE | _UNWANTED),
    Endpoint("DELETE", "/api/keys/{key}", "Revokes a key", Which, KeyState, revoke, OWN, ADMIN, True, refused=_GONE | _UNWANTED),
    Endpoint(
        "POST", "/api/keys/{key}/rotate", "Gives a key a new text", Turned, NewKey, rotate, OWN, ADMIN, True, refused=_GONE | _UNWANTED
    ),
)
