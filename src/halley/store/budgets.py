"""Teams and budgets: which there are, at which level, and who made them. What the configuration file names is changed by the file only.

What was spent of a budget is `store.pots`' business.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, or_, select, tuple_, update

from halley.money import NanoDollars
from halley.policy.budgets import BudgetRow, LevelName
from halley.store import customers
from halley.store.customers import FILE, STORE, Taken, Unknown
from halley.store.schema import budgets, keys, teams
from halley.store.values import Budget, FileBudget, FileTeam, Key, Team

_CHUNK = 900
_PLACE = (budgets.c.account, budgets.c.level, budgets.c.subject)


def create_team(connection: Connection, owner: str, name: str, at: float, source: str = STORE) -> Team:
    """Raises Taken, Unknown."""
    customers.account(connection, owner)
    if not name.strip():
        raise Taken("A team needs a name.")
    if find_team(connection, owner, name) is not None:
        raise Taken(f'The account "{owner}" has a team "{name}" already.')
    connection.execute(insert(teams).values(account=owner, name=name, source=source, created_at=at))
    return Team(owner, name, source, at)


def find_team(connection: Connection, owner: str, name: str) -> Team | None:
    found = connection.execute(select(teams).where(teams.c.account == owner, teams.c.name == name)).one_or_none()
    return None if found is None else Team(found.account, found.name, found.source, found.created_at)


def list_teams(connection: Connection, owner: str | None = None, after: str | None = None, limit: int = 1 << 30) -> list[Team]:
    query = select(teams).order_by(teams.c.account, teams.c.name).limit(limit)
    if owner is not None:
        query = query.where(teams.c.account == owner)
    if after is not None:
        query = query.where(teams.c.name > after)
    return [Team(row.account, row.name, row.source, row.created_at) for row in connection.execute(query)]


def remove_team(connection: Connection, owner: str, name: str, at: float) -> Team:
    """A team that no live key belongs to, and its budget with it. Raises Taken, Unknown."""
    found = find_team(connection, owner, name)
    if found is None:
        raise Unknown(f'The account "{owner}" has no team "{name}".')
    if found.source == FILE:
        raise Taken(f'The team "{name}" belongs to the configuration file; remove it there.')
    members = select(keys.c.name).where(keys.c.account == owner, keys.c.team == name, keys.c.revoked_at.is_(None)).limit(1)
    member = connection.scalar(members)
    if member is not None:
        raise Taken(f'The key "{member}" belongs to the team "{name}"; move or revoke it first.')
    _end(connection, owner, "team", name, at)
    connection.execute(delete(teams).where(teams.c.account == owner, teams.c.name == name))
    return found


def set_budget(
    connection: Connection,
    place: tuple[str, LevelName, str],
    amount: NanoDollars,
    reset: str,
    anchor: int | None,
    at: float,
) -> Budget:
    """The budget of a place (account, level, subject), made or changed; what is spent in a period that goes on counts. Raises Taken,
    Unknown."""
    place = _resolved(connection, place)
    return _put(connection, place, amount, reset, anchor, STORE, at)


def lift_of_key(connection: Connection, key: Key, at: float) -> None:
    """Remove the key's budget, if it has one. Raises Taken."""
    found = of_keys(connection, (key.id,)).get(key.id)
    if found is not None:
        remove_budget(connection, found.id, at, key.account)


def remove_budget(connection: Connection, budget: str, at: float, owner: str | None = None) -> Budget:
    """Raises Taken, Unknown."""
    found = find_budget(connection, budget, owner)
    if found.source == FILE:
        raise Taken(f'The budget "{budget}" belongs to the configuration file; remove it there.')
    connection.execute(update(budgets).where(budgets.c.id == budget).values(removed_at=at))
    return found


def find_budget(connection: Connection, budget: str, owner: str | None = None) -> Budget:
    """The budget in force with this id. Raises Unknown."""
    query = select(budgets).where(budgets.c.id == budget, budgets.c.removed_at.is_(None))
    row = connection.execute(query if owner is None else query.where(budgets.c.account == owner)).one_or_none()
    if row is None:
        raise Unknown(f'There is no budget "{budget}"; the list of budgets has their ids.')
    return _budget(row)


def list_budgets(
    connection: Connection, owner: str | None = None, after: tuple[str, str, str] | None = None, limit: int = 1 << 30
) -> list[Budget]:
    """Those in force, in the order of account, level and subject, behind the one that has them. One of a revoked key limits nothing."""
    live = select(keys.c.id).where(keys.c.revoked_at.is_(None))
    ours = (budgets.c.removed_at.is_(None), or_(budgets.c.level != "key", budgets.c.subject.in_(live)))
    query = select(budgets).where(*ours).order_by(*_PLACE).limit(limit)
    if owner is not None:
        query = query.where(budgets.c.account == owner)
    if after is not None:
        query = query.where(tuple_(*_PLACE) > tuple_(*after))
    return [_budget(row) for row in connection.execute(query)]


def of_keys(connection: Connection, wanted: Sequence[str]) -> dict[str, Budget]:
    """The budgets of those keys that have one, by the keys' ids."""
    found: dict[str, Budget] = {}
    for start in range(0, len(wanted), _CHUNK):
        ours = (budgets.c.level == "key", budgets.c.subject.in_(wanted[start : start + _CHUNK]), budgets.c.removed_at.is_(None))
        found.update({row.subject: _budget(row) for row in connection.execute(select(budgets).where(*ours))})
    return found


def snapshot_rows(connection: Connection) -> tuple[BudgetRow, ...]:
    return tuple(each.row for each in list_budgets(connection))


def adopt(connection: Connection, file_teams: Iterable[FileTeam], file_budgets: Iterable[FileBudget], at: float) -> None:
    """Make the budgets of the file equal to the file, after its keys. Raises Taken when the file names what the store made."""
    wanted = {_resolved(connection, (each.account, each.level, each.subject)): each for each in file_budgets}
    for known in list_budgets(connection):
        place = (known.account, known.level, known.subject)
        if known.source == FILE and place not in wanted:
            connection.execute(update(budgets).where(budgets.c.id == known.id).values(removed_at=at))
        elif known.source == STORE and place in wanted:
            raise Taken(f'The budget of {known.level} "{known.subject}" is in the configuration file and in the store; remove one of them.')
    for place, each in wanted.items():
        _put(connection, place, each.amount, each.reset, each.anchor, FILE, at)
    named = {(each.account, each.name) for each in file_teams}
    for team in list_teams(connection):
        if team.source == FILE and (team.account, team.name) not in named:
            connection.execute(delete(teams).where(teams.c.account == team.account, teams.c.name == team.name))


def adopt_teams(connection: Connection, file_teams: Iterable[FileTeam], at: float) -> None:
    """The teams of the file, before its keys. Raises Taken when the file names what the store made."""
    for each in file_teams:
        known = find_team(connection, each.account, each.name)
        if known is None:
            create_team(connection, each.account, each.name, at, FILE)
        elif known.source == STORE:
            raise Taken(f'The team "{each.name}" of the configuration file exists in the store already; rename one of them.')


def _resolved(connection: Connection, place: tuple[str, LevelName, str]) -> tuple[str, LevelName, str]:
    """With the key's id where its name may stand. Raises Unknown."""
    owner, level, subject = place
    customers.account(connection, owner)
    if level == "account":
        return owner, level, owner
    if level == "key":
        return owner, level, customers.find_key(connection, subject, owner).id
    if level == "team" and find_team(connection, owner, subject) is None:
        raise Unknown(f'The account "{owner}" has no team "{subject}".')
    return place


def _put(
    connection: Connection, place: tuple[str, LevelName, str], amount: NanoDollars, reset: str, anchor: int | None, source: str, at: float
) -> Budget:
    owner, level, subject = place
    its = (budgets.c.account == owner, budgets.c.level == level, budgets.c.subject == subject, budgets.c.removed_at.is_(None))
    known = connection.execute(select(budgets).where(*its)).one_or_none()
    values: dict[str, Any] = {"amount": amount, "reset": reset, "anchor": anchor}
    if known is None:
        made = {"id": f"budget_{secrets.token_hex(8)}", "account": owner, "level": level, "subject": subject}
        connection.execute(insert(budgets).values(**made, **values, source=source, created_at=at))
    elif known.source != source:
        raise Taken(f'The budget of {level} "{subject}" belongs to the configuration file; change it there.')
    else:
        connection.execute(update(budgets).where(budgets.c.id == known.id).values(**values))
    return _budget(connection.execute(select(budgets).where(*its)).one())


def _end(connection: Connection, owner: str, level: str, subject: str, at: float) -> None:
    its = (budgets.c.account == owner, budgets.c.level == level, budgets.c.subject == subject, budgets.c.removed_at.is_(None))
    connection.execute(update(budgets).where(*its).values(removed_at=at))


def _budget(row: Row[Any]) -> Budget:
    its = BudgetRow(row.id, row.account, row.level, row.subject, row.amount, row.reset, row.anchor)
    return Budget(its, row.source, row.created_at)
