"""Accounts and keys: who may call, with what limits, and on whose credit. What the configuration file names is changed by the file only.

Rows go out as frozen structs; the text of a key passes through once, on its way out of `create_key` and `rotate_key`.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, and_, insert, or_, select, tuple_, update

from halley.errors import HalleyError
from halley.money import NanoDollars, show
from halley.policy.snapshot import AccountRow, KeyRow
from halley.secret import Secret, SecretBytes
from halley.store import keytext, ledger
from halley.store.schema import accounts, balances, keys, teams
from halley.store.values import INFERENCE, Account, FileAccount, FileKey, Key, Limits

DEFAULT = "default"
FILE = "file"
STORE = "store"


class Unknown(HalleyError):
    """There is no such account or key."""


class Taken(HalleyError):
    """The name is in use, or belongs to the configuration file."""


class Short(HalleyError):
    """More credit was to be taken away than the account can spend."""


def create_account(connection: Connection, name: str, at: float, *, unlimited: bool, source: str = STORE) -> None:
    if _source(connection, name) is not None:
        raise Taken(f'The account "{name}" exists already.')
    connection.execute(insert(accounts).values(id=name, unlimited=unlimited, source=source, created_at=at))


def ensure_default(connection: Connection, at: float) -> None:
    """The account that keys have when nothing else is said; unlimited, until somebody gives it credit."""
    if _source(connection, DEFAULT) is None:
        create_account(connection, DEFAULT, at, unlimited=True)


def list_accounts(connection: Connection) -> list[Account]:
    found = connection.execute(select(accounts).order_by(accounts.c.id)).all()
    sums = {row.ledger_account: row.amount for row in connection.execute(select(balances))}
    return [_account(row, sums) for row in found]


def account(connection: Connection, name: str) -> Account:
    """Raises Unknown."""
    row = connection.execute(select(accounts).where(accounts.c.id == name)).one_or_none()
    if row is None:
        raise Unknown(f'There is no account "{name}"; `halley accounts list` names them.')
    its = balances.c.ledger_account.in_((ledger.available(name), ledger.held(name), ledger.owed(name)))
    return _account(row, {each.ledger_account: each.amount for each in connection.execute(select(balances).where(its))})


def is_unlimited(connection: Connection, name: str) -> bool:
    return bool(connection.scalar(select(accounts.c.unlimited).where(accounts.c.id == name)))


def add_credit(connection: Connection, name: str, amount: NanoDollars, at: float) -> bool:
    """Add (or, below zero, take) prepaid credit. Returns whether the account was unlimited before and is prepaid now. Raises Short."""
    found = account(connection, name)
    if amount < 0 and found.available + amount < 0:
        lent = f", and {show(found.held)} USD are lent to relays" if found.held else ""
        raise Short(f'The account "{name}" has {show(found.available)} USD that can be taken away{lent}.')
    changed = found.unlimited
    if changed:
        _own(connection, name)
        connection.execute(update(accounts).where(accounts.c.id == name).values(unlimited=False))
    ledger.post(connection, "credit", name, {ledger.CLEARING: -amount, ledger.available(name): amount}, at)
    return changed


def make_unlimited(connection: Connection, name: str) -> None:
    account(connection, name)
    _own(connection, name)
    connection.execute(update(accounts).where(accounts.c.id == name).values(unlimited=True))


def create_key(connection: Connection, pepper: SecretBytes, name: str, owner: str, limits: Limits, at: float) -> tuple[Secret, Key]:
    """A new key and its text, which nothing can show again. Raises Taken, Unknown."""
    account(connection, owner)
    if not name.strip():
        raise Taken("A key needs a name.")
    _unused(connection, name, owner)
    _has_team(connection, owner, limits.team)
    text = Secret(keytext.make())
    return text, _write_key(connection, pepper, FileKey(name, owner, text, limits), STORE, at)


def list_keys(connection: Connection) -> list[Key]:
    return [_key(row) for row in connection.execute(select(keys).order_by(keys.c.created_at, keys.c.id))]


def keys_of(connection: Connection, owner: str, limit: int, after: tuple[float, str] | None = None, only: str | None = None) -> list[Key]:
    """An account's live keys, the newest first: up to `limit`, behind the one that was made at a time and has an id; or `only` one."""
    query = select(keys).where(keys.c.account == owner, keys.c.revoked_at.is_(None))
    query = query.order_by(keys.c.created_at.desc(), keys.c.id.desc()).limit(limit)
    if after is not None:
        query = query.where(tuple_(keys.c.created_at, keys.c.id) < tuple_(*after))
    if only is not None:
        query = query.where(keys.c.id == only)
    return [_key(row) for row in connection.execute(query)]


def key_names(connection: Connection, owner: str) -> dict[str, str]:
    """Names of all keys that an account ever had, by id."""
    return {row.id: row.name for row in connection.execute(select(keys.c.id, keys.c.name).where(keys.c.account == owner))}


def find_key(connection: Connection, name: str, owner: str | None = None) -> Key:
    """The live key with this id or name, of one account if it is named. Raises Unknown; Taken when several accounts have such a name."""
    query = select(keys).where(or_(keys.c.id == name, keys.c.name == name), keys.c.revoked_at.is_(None))
    rows = connection.execute(query if owner is None else query.where(keys.c.account == owner)).all()
    if not rows:
        raise no_such_key(name)
    if len(rows) > 1:
        raise Taken(f'Several accounts have a key named "{name}"; take its id.')
    return _key(rows[0])


def no_such_key(name: str) -> Unknown:
    return Unknown(f'There is no live key "{name}"; the list of keys has their names.')


def key_of_text(connection: Connection, pepper: SecretBytes, text: Secret, at: float) -> Key | None:
    """The key that this text opens now, if there is one."""
    digest = keytext.digest(pepper, text)
    former = and_(keys.c.former_digest == digest, keys.c.former_until > at)
    live = (keys.c.revoked_at.is_(None), keys.c.disabled_at.is_(None), or_(keys.c.expires_at.is_(None), keys.c.expires_at > at))
    row = connection.execute(select(keys).where(or_(keys.c.digest == digest, former), *live)).first()
    return None if row is None else _key(row)


def revoke_key(connection: Connection, name: str, at: float, owner: str | None = None) -> Key:
    key = _changeable(connection, name, owner, "remove it there")
    connection.execute(update(keys).where(keys.c.id == key.id).values(revoked_at=at))
    return msgspec.structs.replace(key, revoked_at=at)


def rotate_key(
    connection: Connection, pepper: SecretBytes, name: str, at: float, overlap_s: float = 0.0, owner: str | None = None
) -> tuple[Secret, Key]:
    """A new text for the same key. The old text ends after `overlap_s`, an older one at once."""
    key = _changeable(connection, name, owner, "put a new text there")
    text = Secret(keytext.make())
    former = connection.scalar(select(keys.c.digest).where(keys.c.id == key.id)) if overlap_s > 0 else None
    values = {
        "digest": keytext.digest(pepper, text),
        "shown": keytext.shown(text.reveal()),
        "former_digest": former,
        "former_until": at + overlap_s if former is not None else None,
    }
    connection.execute(update(keys).where(keys.c.id == key.id).values(**values))
    return text, find_key(connection, key.id)


def change_key(connection: Connection, wanted: Key) -> Key:
    """Make the key with this id as it is wanted: its name, its limits, and whether it is disabled. Raises Unknown, Taken."""
    key = _changeable(connection, wanted.id, wanted.account, "change it there")
    if wanted.name != key.name:
        if not wanted.name.strip():
            raise Taken("A key needs a name.")
        _unused(connection, wanted.name, wanted.account)
    _has_team(connection, wanted.account, wanted.limits.team)
    values = {"name": wanted.name, "disabled_at": wanted.disabled_at, **_limits(wanted.limits)}
    connection.execute(update(keys).where(keys.c.id == key.id).values(**values))
    return find_key(connection, key.id)


def _unused(connection: Connection, name: str, owner: str) -> None:
    same = (keys.c.name == name, keys.c.account == owner, keys.c.revoked_at.is_(None))
    if connection.scalar(select(keys.c.id).where(*same)) is not None:
        raise Taken(f'There is a key named "{name}" already; choose another name, or rotate it.')


def _has_team(connection: Connection, owner: str, team: str | None) -> None:
    if team is not None and connection.scalar(select(teams.c.name).where(teams.c.account == owner, teams.c.name == team)) is None:
        raise Unknown(f'The account "{owner}" has no team "{team}".')


def _changeable(connection: Connection, name: str, owner: str | None, instead: str) -> Key:
    key = find_key(connection, name, owner)
    if key.source == FILE:
        raise Taken(f'The key "{key.name}" belongs to the configuration file; {instead}.')
    return key


def adopt_accounts(connection: Connection, file_accounts: Iterable[FileAccount], at: float) -> None:
    """Make the accounts of the file equal to the file. Raises Taken when the file names what the store made."""
    for each in file_accounts:
        source = _source(connection, each.name)
        if source == STORE and each.name != DEFAULT:
            raise Taken(f'The account "{each.name}" of the configuration file exists in the store already; rename one of them.')
        if source is None:
            create_account(connection, each.name, at, unlimited=each.unlimited, source=FILE)
        else:
            connection.execute(update(accounts).where(accounts.c.id == each.name).values(unlimited=each.unlimited, source=FILE))


def adopt_keys(connection: Connection, pepper: SecretBytes, file_keys: Iterable[FileKey], at: float) -> None:
    """Make the live keys of the file equal to the file; one that left it is revoked. Raises Taken as `adopt_accounts` does."""
    named = {each.name: each for each in file_keys}
    for key in list_keys(connection):
        if key.revoked_at is not None:
            continue
        if key.source == STORE and (mine := named.get(key.name)) is not None and mine.account == key.account:
            raise Taken(f'The key "{key.name}" of the configuration file exists in the store already; rename one of them.')
        if key.source == FILE:
            # Rows of the file are written anew at every start, under the same id; only one that left the file stays behind, revoked.
            connection.execute(update(keys).where(keys.c.id == key.id).values(revoked_at=at))
    for each in named.values():
        account(connection, each.account)
        _has_team(connection, each.account, each.limits.team)
        _write_key(connection, pepper, each, FILE, at)


def snapshot_rows(connection: Connection) -> tuple[tuple[KeyRow, ...], tuple[AccountRow, ...]]:
    """What relays need to know of live keys and accounts. A key that may not call a model is there all the same: it is told why."""
    query = select(keys).where(keys.c.revoked_at.is_(None), keys.c.disabled_at.is_(None)).order_by(keys.c.id)
    live = connection.execute(query).all()
    rows: list[KeyRow] = []
    for row in live:
        limits = _key(row).limits
        rows.append(
            KeyRow(
                row.id,
                row.digest,
                row.account,
                row.name,
                limits.models,
                limits.rpm,
                limits.tpm,
                limits.concurrency,
                limits.ips,
                limits.expires_at,
                limits.routes if INFERENCE in limits.allowed else (),
                row.former_digest,
                row.former_until,
                limits.team,
            )
        )
    owners = connection.execute(select(accounts.c.id, accounts.c.unlimited).order_by(accounts.c.id))
    return tuple(rows), tuple(AccountRow(row.id, row.unlimited) for row in owners)


def _source(connection: Connection, name: str) -> str | None:
    return connection.scalar(select(accounts.c.source).where(accounts.c.id == name))


def _own(connection: Connection, name: str) -> None:
    if _source(connection, name) == FILE:
        raise Taken(f'Whether the account "{name}" is prepaid or unlimited is written in the configuration file; change it there.')


def _write_key(connection: Connection, pepper: SecretBytes, key: FileKey, source: str, at: float) -> Key:
    digest = keytext.digest(pepper, key.text)
    values: dict[str, object] = {
        "account": key.account,
        "name": key.name,
        "shown": keytext.shown(key.text.reveal()),
        "revoked_at": None,
        **_limits(key.limits),
    }
    known = connection.execute(select(keys).where(keys.c.digest == digest)).first()
    if known is None:
        values |= {"id": f"key_{secrets.token_hex(8)}", "digest": digest, "source": source, "created_at": at}
        connection.execute(insert(keys).values(**values))
    elif known.source == source == FILE:
        connection.execute(update(keys).where(keys.c.id == known.id).values(**values))
    else:
        raise Taken(f'The key text of "{key.name}" is in use by "{known.name}" already.')
    return _key(connection.execute(select(keys).where(keys.c.digest == digest)).one())


def _account(row: Row[Any], sums: Mapping[str, NanoDollars]) -> Account:
    available, held, owed = (sums.get(name(row.id), 0) for name in (ledger.available, ledger.held, ledger.owed))
    return Account(row.id, row.unlimited, row.source, available, held, -owed)


def _limits(limits: Limits) -> dict[str, object]:
    return {
        "models": _list(limits.models),
        "ips": _list(limits.ips),
        "rpm": limits.rpm,
        "tpm": limits.tpm,
        "concurrency": limits.concurrency,
        "expires_at": limits.expires_at,
        "routes": _list(limits.routes),
        "scopes": _list(limits.scopes),
        "team": limits.team,
    }


def _list(names: tuple[str, ...] | None) -> str | None:
    return None if names is None else msgspec.json.encode(names).decode()


def _names(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else msgspec.json.decode(text, type=tuple[str, ...])


def _key(row: Row[Any]) -> Key:
    limits = Limits(
        _names(row.models),
        _names(row.ips),
        row.rpm,
        row.tpm,
        row.concurrency,
        row.expires_at,
        _names(row.routes),
        _names(row.scopes),
        row.team,
    )
    changed = (row.revoked_at, row.disabled_at, row.former_until)
    return Key(row.id, row.name, row.account, row.shown, row.source, row.created_at, limits, *changed)
