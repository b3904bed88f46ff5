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
    BudgetStates,
    ChangeKey,
    CreateAccount,
    CreateKey,
    CreateTeam,
    CreateToken,
    CreateUser,
    Credited,
    GiveCredit,
    Keys,
    Log,
    Logged,
    Model,
    Models,
    Named,
    NewKey,
    NewToken,
    Nothing,
    PriceHistory,
    RemoveTeam,
    RemoveUser,
    RotateKey,
    RotateMasterKey,
    SetBudget,
    Status,
    Teams,
    Tokens,
    Users,
    Verified,
    Verify,
)
from halley.control.desk import Desk
from halley.control.standings import budget_states
from halley.policy import catalogue
from halley.pricelist import written
from halley.store import budgets, customers, logbook, people, prices, verify
from halley.store.values import Rotated

_FOREVER = 1e12
_MOST_LINES = 1000


def create_key(desk: Desk, asked: CreateKey) -> NewKey:
    with desk.store.begin() as connection:
        text, key = customers.create_key(connection, desk.store.pepper, asked.name, asked.account, asked.limits, desk.now())
        crash.here("control.key.uncommitted")
    crash.here("control.key.committed")
    return NewKey(text.reveal(), key.id, key.account, key.name, key.limits)


def rotate_key(desk: Desk, asked: RotateKey) -> NewKey:
    with desk.store.begin() as connection:
        text, key = customers.rotate_key(connection, desk.store.pepper, asked.name, desk.now(), asked.overlap_s)
    return NewKey(text.reveal(), key.id, key.account, key.name, key.limits)


def change_key(desk: Desk, asked: ChangeKey) -> Keys:
    with desk.store.begin() as connection:
        key = customers.find_key(connection, asked.name)
        disabled_at = key.disabled_at if asked.disabled is None else desk.now() if asked.disabled else None
        wanted = msgspec.structs.replace(key, name=asked.new_name or key.name, limits=asked.limits or key.limits, disabled_at=disabled_at)
        return Keys((customers.change_key(connection, wanted),))


def revoke_key(desk: Desk, asked: Named) -> Keys:
    with desk.store.begin() as connection:
        key = customers.revoke_key(connection, asked.name, desk.now())
    return Keys((key,))


def list_keys(desk: Desk, asked: Nothing) -> Keys:
    with desk.store.begin() as connection:
        return Keys(tuple(customers.list_keys(connection)))


def create_user(desk: Desk, asked: CreateUser) -> Users:
    with desk.store.begin() as connection:
        return Users((people.create_user(connection, asked.name, asked.account, asked.role, desk.now()),))


def list_users(desk: Desk, asked: Nothing) -> Users:
    with desk.store.begin() as connection:
        return Users(tuple(people.list_users(connection)))


def remove_user(desk: Desk, asked: RemoveUser) -> Users:
    with desk.store.begin() as connection:
        return Users((people.remove_user(connection, asked.name, asked.account, desk.now()),))


def create_token(desk: Desk, asked: CreateToken) -> NewToken:
    with desk.store.begin() as connection:
        text, token = people.create_token(
            connection, desk.store.pepper, asked.name, asked.user, asked.account, asked.scopes, desk.now(), asked.expires_at
        )
    return NewToken(text.reveal(), token)


def list_tokens(desk: Desk, asked: Nothing) -> Tokens:
    with desk.store.begin() as connection:
        return Tokens(tuple(people.list_tokens(connection)))


def revoke_token(desk: Desk, asked: Named) -> Tokens:
    with desk.store.begin() as connection:
        return Tokens((people.revoke_token(connection, asked.name, desk.now()),))


def create_team(desk: Desk, asked: CreateTeam) -> Teams:
    with desk.store.begin() as connection:
        return Teams((budgets.create_team(connection, asked.account, asked.name, desk.now()),))


def list_teams(desk: Desk, asked: Nothing) -> Teams:
    with desk.store.begin() as connection:
        return Teams(tuple(budgets.list_teams(connection)))


def remove_team(desk: Desk, asked: RemoveTeam) -> Teams:
    with desk.store.begin() as connection:
        return Teams((budgets.remove_team(connection, asked.account, asked.name, desk.now()),))


def set_budget(desk: Desk, asked: SetBudget) -> BudgetStates:
    place = (asked.account, asked.level, asked.subject)
    with desk.store.begin() as connection:
        made = budgets.set_budget(connection, place, asked.amount, asked.reset, asked.anchor, desk.now())
    return BudgetStates(budget_states(desk.store, (made,), desk.now()))


def list_budgets(desk: Desk, asked: Nothing) -> BudgetStates:
    with desk.store.begin() as connection:
        found = budgets.list_budgets(connection)
    return BudgetStates(budget_states(desk.store, found, desk.now()))


def remove_budget(desk: Desk, asked: Named) -> BudgetStates:
    with desk.store.begin() as connection:
        found = budgets.remove_budget(connection, asked.name, desk.now())
    return BudgetStates(budget_states(desk.store, (found,), desk.now()))


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


def verify_ledger(desk: Desk, asked: Verify) -> Verified:
    with desk.store.read() as connection:
        found = verify.verify(connection, asked.sample)
    return Verified(not found.differences, found.requests, found.postings, found.differences)


def list_models(desk: Desk, asked: Nothing) -> Models:
    day = catalogue.day_of(desk.now())
    return Models(
        tuple(
            Model(
                each.id,
                each.owner,
                tuple(offer.provider for offer in each.offers),
                written(each.price),
                each.context,
                each.max_output,
                catalogue.status(each.shutdown, day),
                each.shutdown,
            )
            for each in desk.models
        )
    )


def price_history(desk: Desk, asked: Named) -> PriceHistory:
    with desk.store.begin() as connection:
        return PriceHistory(tuple(prices.history(connection, asked.name)))


def log(desk: Desk, asked: Log) -> Logged:
    with desk.store.read() as connection:
        customers.account(connection, asked.account)
        if asked.requests:
            return Logged(tuple(logbook.find_all(connection, asked.account, asked.requests)))
        key = customers.find_key(connection, asked.key, asked.account).id if asked.key is not None else None
        which = logbook.Which(asked.account, asked.since, _FOREVER, key, asked.model, asked.status, asked.running)
        limit = max(1, min(asked.limit, _MOST_LINES))
        stop = None if asked.running else logbook.stop(connection, which, asked.before)
        found = logbook.page(connection, which, asked.before, limit, stop)
    return Logged(tuple(found), (found[-1].at, found[-1].id) if len(found) == limit else stop)


def status(desk: Desk, asked: Nothing) -> Status:
    return Status(desk.figures(), tuple(desk.journals()))


class Operation(NamedTuple):
    ask: type[msgspec.Struct]
    answer: type[msgspec.Struct]
    run: Callable[[Desk, Any], msgspec.Struct]
    changes: bool = False
    apart: bool = False


OPERATIONS: dict[str, Operation] = {
    "keys.create": Operation(CreateKey, NewKey, create_key, changes=True),
    "keys.rotate": Operation(RotateKey, NewKey, rotate_key, changes=True),
    "keys.change": Operation(ChangeKey, Keys, change_key, changes=True),
    "keys.revoke": Operation(Named, Keys, revoke_key, changes=True),
    "keys.list": Operation(Nothing, Keys, list_keys),
    "users.create": Operation(CreateUser, Users, create_user),
    "users.list": Operation(Nothing, Users, list_users),
    "users.remove": Operation(RemoveUser, Users, remove_user),
    "tokens.create": Operation(CreateToken, NewToken, create_token),
    "tokens.list": Operation(Nothing, Tokens, list_tokens),
    "tokens.revoke": Operation(Named, Tokens, revoke_token),
    "teams.create": Operation(CreateTeam, Teams, create_team, changes=True),
    "teams.list": Operation(Nothing, Teams, list_teams),
    "teams.remove": Operation(RemoveTeam, Teams, remove_team, changes=True),
    "budgets.set": Operation(SetBudget, BudgetStates, set_budget, changes=True),
    "budgets.list": Operation(Nothing, BudgetStates, list_budgets),
    "budgets.remove": Operation(Named, BudgetStates, remove_budget, changes=True),
    "accounts.create": Operation(CreateAccount, Accounts, create_account, changes=True),
    "accounts.list": Operation(Nothing, Accounts, list_accounts),
    "accounts.show": Operation(Named, Accounts, show_account),
    "credit": Operation(GiveCredit, Credited, give_credit, changes=True),
    "secrets.rotate": Operation(RotateMasterKey, Rotated, rotate_master_key),
    "ledger.verify": Operation(Verify, Verified, verify_ledger, apart=True),
    "models": Operation(Nothing, Models, list_models),
    "models.history": Operation(Named, PriceHistory, price_history),
    "logs": Operation(Log, Logged, log, apart=True),
    "status": Operation(Nothing, Status, status),
}
