"""What an operator can ask for, as operations with typed questions and answers. The admin API and the commands go through `OPERATIONS`.

Synchronous, on the desk's thread. `changes` of an operation says that relays must hear of it. One that is `apart` reads all there is: it
has a thread and a view of the store of its own, and touches nothing else of the desk, so that folding goes on meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from halley import crash
from halley.control.asks import (
    Accounts,
    CreateAccount,
    CreateKey,
    Credited,
    GiveCredit,
    Keys,
    Model,
    Models,
    Named,
    NewKey,
    Nothing,
    RotateMasterKey,
    Status,
    Verified,
)
from halley.control.desk import Desk
from halley.money import Price, show_rate_per_million, show_rate_per_unit
from halley.policy.catalogue import PER_MILLION
from halley.store import customers, verify
from halley.store.values import Rotated


def create_key(desk: Desk, asked: CreateKey) -> NewKey:
    with desk.store.begin() as connection:
        text, key = customers.create_key(connection, desk.store.pepper, asked.name, asked.account, asked.limits, desk.now())
        crash.here("control.key.uncommitted")
    crash.here("control.key.committed")
    return NewKey(text.reveal(), key.id, key.account, key.name, key.limits)


def rotate_key(desk: Desk, asked: Named) -> NewKey:
    with desk.store.begin() as connection:
        text, key = customers.rotate_key(connection, desk.store.pepper, asked.name, desk.now())
    return NewKey(text.reveal(), key.id, key.account, key.name, key.limits)


def revoke_key(desk: Desk, asked: Named) -> Keys:
    with desk.store.begin() as connection:
        key = customers.revoke_key(connection, asked.name, desk.now())
    return Keys((key,))


def list_keys(desk: Desk, asked: Nothing) -> Keys:
    with desk.store.begin() as connection:
        return Keys(tuple(customers.list_keys(connection)))


def create_account(desk: Desk, asked: CreateAccount) -> Accounts:
    with desk.store.begin() as connection:
        customers.create_account(connection, asked.name, desk.now(), unlimited=asked.unlimited)
        return Accounts((customers.account(connection, asked.name),))


def list_accounts(desk: Desk, asked: Nothing) -> Accounts:
    with desk.store.begin() as connection:
        return Accounts(tuple(customers.list_accounts(connection)))


def show_account(desk: Desk, asked: Named) -> Accounts:
    with desk.store.begin() as connection:
        return Accounts((customers.account(connection, asked.name),))


def give_credit(desk: Desk, asked: GiveCredit) -> Credited:
    with desk.store.begin() as connection:
        changed = False
        if asked.amount is None:
            customers.make_unlimited(connection, asked.account)
        else:
            changed = customers.add_credit(connection, asked.account, asked.amount, desk.now())
        return Credited(customers.account(connection, asked.account), changed)


def rotate_master_key(desk: Desk, asked: RotateMasterKey) -> Rotated:
    return desk.rotate_master_key(asked.master_key)


def verify_ledger(desk: Desk, asked: Nothing) -> Verified:
    with desk.store.read() as connection:
        found = verify.verify(connection)
    return Verified(not found.differences, found.requests, found.postings, found.differences)


def list_models(desk: Desk, asked: Nothing) -> Models:
    return Models(
        tuple(
            Model(each.id, each.owner, tuple(offer.provider for offer in each.offers), _prices(each.price), each.context, each.max_output)
            for each in desk.models
        )
    )


def status(desk: Desk, asked: Nothing) -> Status:
    return Status(desk.figures(), tuple(desk.journals()))


def _prices(price: Price) -> dict[str, str]:
    rates = {name: show_rate_per_million(rate) for name in PER_MILLION if (rate := getattr(price, name)) is not None}
    return rates | ({"per_request": show_rate_per_unit(price.per_request)} if price.per_request else {})


class Operation(NamedTuple):
    ask: type[msgspec.Struct]
    answer: type[msgspec.Struct]
    run: Callable[[Desk, Any], msgspec.Struct]
    changes: bool = False
    apart: bool = False


OPERATIONS: dict[str, Operation] = {
    "keys.create": Operation(CreateKey, NewKey, create_key, changes=True),
    "keys.rotate": Operation(Named, NewKey, rotate_key, changes=True),
    "keys.revoke": Operation(Named, Keys, revoke_key, changes=True),
    "keys.list": Operation(Nothing, Keys, list_keys),
    "accounts.create": Operation(CreateAccount, Accounts, create_account, changes=True),
    "accounts.list": Operation(Nothing, Accounts, list_accounts),
    "accounts.show": Operation(Named, Accounts, show_account),
    "credit": Operation(GiveCredit, Credited, give_credit, changes=True),
    "secrets.rotate": Operation(RotateMasterKey, Rotated, rotate_master_key),
    "ledger.verify": Operation(Nothing, Verified, verify_ledger, apart=True),
    "models": Operation(Nothing, Models, list_models),
    "status": Operation(Nothing, Status, status),
}
