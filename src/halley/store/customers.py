"""Accounts and keys: who may call, with what limits, and on whose credit. What the configuration file names is changed by the file only.

Rows go out as frozen structs; the text of a key passes through once, on its way out of `create_key` and `rotate_key`.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, insert, or_, select, update

from halley.errors import HalleyError
from halley.money import NanoDollars, Price, show
from halley.policy.snapshot import AccountRow, KeyRow, ModelRow
from halley.secret import Secret, SecretBytes
from halley.store import keytext, ledger
from halley.store.bulk import inserting
from halley.store.schema import accounts, balances, keys, prices
from halley.store.values import Account, FileAccount, FileKey, Key, Limits

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
    if connection.scalar(select(keys.c.id).where(keys.c.name == name, keys.c.revoked_at.is_(None))) is not None:
        raise Taken(f'There is a key named "{name}" already; choose another name, or rotate it.')
    text = Secret(keytext.make())
    return text, _write_key(connection, pepper, FileKey(name, owner, text, limits), STORE, at)


def list_keys(connection: Connection) -> list[Key]:
    return [_key(row) for row in connection.execute(select(keys).order_by(keys.c.created_at, keys.c.id))]


def find_key(connection: Connection, name: str) -> Key:
    """The live key with this id or name. Raises Unknown."""
    row = connection.execute(select(keys).where(or_(keys.c.id == name, keys.c.name == name), keys.c.revoked_at.is_(None))).first()
    if row is None:
        raise Unknown(f'There is no live key "{name}"; `halley keys list` names them.')
    return _key(row)


def revoke_key(connection: Connection, name: str, at: float) -> Key:
    key = find_key(connection, name)
    if key.source == FILE:
        raise Taken(f'The key "{key.name}" belongs to the configuration file; remove it there.')
    connection.execute(update(keys).where(keys.c.id == key.id).values(revoked_at=at))
    return key


def rotate_key(connection: Connection, pepper: SecretBytes, name: str, at: float) -> tuple[Secret, Key]:
    """A new text under the same name, account and limits; the old one is revoked."""
    old = revoke_key(connection, name, at)
    return create_key(connection, pepper, old.name, old.account, old.limits, at)


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
    live = {key.name: key for key in list_keys(connection) if key.revoked_at is None}
    for name, key in live.items():
        if name in named and key.source == STORE:
            raise Taken(f'The key "{name}" of the configuration file exists in the store already; rename one of them.')
        if key.source == FILE:
            # Rows of the file are written anew at every start, under the same id; only one that left the file stays behind, revoked.
            connection.execute(update(keys).where(keys.c.id == key.id).values(revoked_at=at))
    for each in named.values():
        account(connection, each.account)
        _write_key(connection, pepper, each, FILE, at)


def snapshot_rows(connection: Connection) -> tuple[tuple[KeyRow, ...], tuple[AccountRow, ...]]:
    """What relays need to know of live keys and accounts."""
    live = connection.execute(select(keys).where(keys.c.revoked_at.is_(None)).order_by(keys.c.id)).all()
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
            )
        )
    owners = connection.execute(select(accounts.c.id, accounts.c.unlimited).order_by(accounts.c.id))
    return tuple(rows), tuple(AccountRow(row.id, row.unlimited) for row in owners)


def remember_prices(connection: Connection, models: Iterable[ModelRow], at: float) -> None:
    """Keep every price version that a request may name, before a relay can name it."""
    rows = [
        {"version": version, "rates": msgspec.json.encode(price).decode(), "first_seen": at}
        for version, price in {model.version: model.price for model in models}.items()
    ]
    if rows:
        connection.execute(inserting(connection.dialect, prices).on_conflict_do_nothing(), rows)


def known_prices(connection: Connection) -> dict[str, Price]:
    return {row.version: msgspec.json.decode(row.rates, type=Price) for row in connection.execute(select(prices))}


def _source(connection: Connection, name: str) -> str | None:
    return connection.scalar(select(accounts.c.source).where(accounts.c.id == name))


def _own(connection: Connection, name: str) -> None:
    if _source(connection, name) == FILE:
        raise Taken(f'Whether the account "{name}" is prepaid or unlimited is written in the configuration file; change it there.')


def _write_key(connection: Connection, pepper: SecretBytes, key: FileKey, source: str, at: float) -> Key:
    limits = key.limits
    digest = keytext.digest(pepper, key.text)
    values: dict[str, object] = {
        "account": key.account,
        "name": key.name,
        "shown": keytext.shown(key.text.reveal()),
        "models": _list(limits.models),
        "ips": _list(limits.ips),
        "rpm": limits.rpm,
        "tpm": limits.tpm,
        "concurrency": limits.concurrency,
        "expires_at": limits.expires_at,
        "revoked_at": None,
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


def _list(names: tuple[str, ...] | None) -> str | None:
    return None if names is None else msgspec.json.encode(names).decode()


def _names(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else msgspec.json.decode(text, type=tuple[str, ...])


def _key(row: Row[Any]) -> Key:
    limits = Limits(_names(row.models), _names(row.ips), row.rpm, row.tpm, row.concurrency, row.expires_at)
    return Key(row.id, row.name, row.account, row.shown, row.source, row.created_at, limits, row.revoked_at)
