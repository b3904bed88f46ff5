"""`/api/teams` and `/api/budgets`: what an account limits of its own spend, and how far each limit is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from halley.control.account.endpoint import Endpoint, Visitor, cursor, place_of
from halley.control.account.fields import BudgetWanted, named
from halley.control.account.keys import Page
from halley.control.account.manners import OWN
from halley.control.desk import Desk
from halley.errors import Condition, Refused
from halley.money import NanoDollars, show
from halley.policy.budgets import MOST_END_USER, LevelName, period
from halley.store import budgets, pots
from halley.store.pots import State
from halley.store.values import ADMIN, Budget, Team

_GONE = frozenset({Condition.NOT_FOUND})
_UNWANTED = frozenset({Condition.CONFLICT})


class TeamState(msgspec.Struct, frozen=True):
    name: str
    account: str
    source: str
    created_at: float


class TeamPage(msgspec.Struct, frozen=True):
    data: tuple[TeamState, ...]
    next_cursor: str | None


class TeamWanted(msgspec.Struct, frozen=True):
    name: str


class WhichTeam(msgspec.Struct, frozen=True):
    team: str


class BudgetAsked(msgspec.Struct, frozen=True):
    """`of` names the team, the key (by id or name) or the end user; without it, the account and every end user. `usd` is a decimal string;
    `anchor` is an ISO date or time at which a period begins, or Unix seconds."""

    level: LevelName
    usd: str
    of: str = ""
    reset: str = "none"
    anchor: str | float | None = None


class BudgetShown(msgspec.Struct, frozen=True, kw_only=True):
    """`of` is the id of a key or account, the name of a team, or an end user. The period goes on since `since` until `until`, Unix seconds;
    null is never. `held` is set aside for requests that run or lent to relays. Of every end user's budget the figures are those of
    requests that name none."""

    id: str
    account: str
    level: LevelName
    of: str
    reset: str
    anchor: int | None
    source: str
    since: int
    until: int | None
    amount_nano: NanoDollars
    spent_nano: NanoDollars
    held_nano: NanoDollars
    left_nano: NanoDollars
    amount_usd: str
    spent_usd: str
    left_usd: str


class BudgetPage(msgspec.Struct, frozen=True):
    data: tuple[BudgetShown, ...]
    next_cursor: str | None


class WhichBudget(msgspec.Struct, frozen=True):
    budget: str


class UsersAsked(msgspec.Struct, frozen=True):
    budget: str
    limit: Annotated[int, Meta(ge=1, le=100)] = 50
    cursor: str | None = None


class UserShown(msgspec.Struct, frozen=True):
    """What an end user has spent in the period that goes on; an empty name is that of all requests without one."""

    end_user: str
    spent_nano: NanoDollars
    held_nano: NanoDollars
    spent_usd: str


class UserPage(msgspec.Struct, frozen=True):
    data: tuple[UserShown, ...]
    next_cursor: str | None


def create_team(desk: Desk, visitor: Visitor, wanted: TeamWanted) -> TeamState:
    with desk.store.begin() as connection:
        return _team(budgets.create_team(connection, visitor.account, named(wanted.name), desk.now()))


def teams(desk: Desk, visitor: Visitor, page: Page) -> TeamPage:
    after = place_of(page.cursor, tuple[str]) if page.cursor is not None else None
    with desk.store.read() as connection:
        found = budgets.list_teams(connection, visitor.account, after[0] if after is not None else None, page.limit + 1)
    rows = found[: page.limit]
    return TeamPage(tuple(map(_team, rows)), cursor((rows[-1].name,)) if len(found) > page.limit else None)


def remove_team(desk: Desk, visitor: Visitor, which: WhichTeam) -> TeamState:
    with desk.store.begin() as connection:
        return _team(budgets.remove_team(connection, visitor.account, which.team, desk.now()))


def set_budget(desk: Desk, visitor: Visitor, asked: BudgetAsked) -> BudgetShown:
    wanted = BudgetWanted(asked.usd, asked.reset, asked.anchor).read("")
    if len(asked.of) > MOST_END_USER or not asked.of.isprintable():
        raise Refused(Condition.INVALID, f"of must be at most {MOST_END_USER} printable characters.", param="of")
    place = (visitor.account, asked.level, asked.of)
    with desk.store.begin() as connection:
        made = budgets.set_budget(connection, place, *wanted, desk.now())
    return _shown(desk, (made,))[0]


def listed(desk: Desk, visitor: Visitor, page: Page) -> BudgetPage:
    after = place_of(page.cursor, tuple[str, str]) if page.cursor is not None else None
    with desk.store.read() as connection:
        place = (visitor.account, *after) if after is not None else None
        found = budgets.list_budgets(connection, visitor.account, place, page.limit + 1)
    rows = found[: page.limit]
    more = cursor((rows[-1].level, rows[-1].subject)) if len(found) > page.limit else None
    return BudgetPage(_shown(desk, rows), more)


def read(desk: Desk, visitor: Visitor, which: WhichBudget) -> BudgetShown:
    with desk.store.read() as connection:
        found = budgets.find_budget(connection, which.budget, visitor.account)
    return _shown(desk, (found,))[0]


def remove(desk: Desk, visitor: Visitor, which: WhichBudget) -> BudgetShown:
    with desk.store.begin() as connection:
        found = budgets.remove_budget(connection, which.budget, desk.now(), visitor.account)
    return _shown(desk, (found,))[0]


def end_users(desk: Desk, visitor: Visitor, asked: UsersAsked) -> UserPage:
    after = place_of(asked.cursor, tuple[str]) if asked.cursor is not None else None
    with desk.store.read() as connection:
        found = budgets.find_budget(connection, asked.budget, visitor.account)
        its = period(found.row.reset, found.row.anchor, desk.now())
        rows = pots.users_of(connection, found.id, its.start, after[0] if after is not None else None, asked.limit + 1)
    more = cursor((rows[asked.limit - 1][0],)) if len(rows) > asked.limit else None
    return UserPage(tuple(UserShown(name, state.spent, state.held, show(state.spent)) for name, state in rows[: asked.limit]), more)


def _team(team: Team) -> TeamState:
    return TeamState(team.name, team.account, team.source, team.created_at)


def _shown(desk: Desk, found: Sequence[Budget]) -> tuple[BudgetShown, ...]:
    now = desk.now()
    with desk.store.read() as connection:
        states = pots.states(connection, [pots.current(each.row, now) for each in found])
    return tuple(_budget(each, states.get(pots.current(each.row, now), pots.NOTHING_SPENT), now) for each in found)


def _budget(budget: Budget, state: State, now: float) -> BudgetShown:
    row, its = budget.row, period(budget.row.reset, budget.row.anchor, now)
    left = max(row.amount - state.spent, 0)
    return BudgetShown(
        id=row.id,
        account=row.account,
        level=row.level,
        of=row.subject,
        reset=row.reset,
        anchor=row.anchor,
        source=budget.source,
        since=its.start,
        until=its.until,
        amount_nano=row.amount,
        spent_nano=state.spent,
        held_nano=state.held,
        left_nano=left,
        amount_usd=show(row.amount),
        spent_usd=show(state.spent),
        left_usd=show(left),
    )


_CHANGES = _GONE | _UNWANTED
ENDPOINTS: Sequence[Endpoint] = (
    Endpoint("GET", "/api/teams", "Lists teams, by name", Page, TeamPage, teams, OWN, ADMIN),
    Endpoint("POST", "/api/teams", "Makes a team", TeamWanted, TeamState, create_team, OWN, ADMIN, True, 201, refused=_UNWANTED),
    Endpoint("DELETE", "/api/teams/{team}", "Removes a team", WhichTeam, TeamState, remove_team, OWN, ADMIN, True, refused=_CHANGES),
    Endpoint("GET", "/api/budgets", "Lists budgets with what is spent", Page, BudgetPage, listed, OWN, ADMIN),
    Endpoint("POST", "/api/budgets", "Makes or changes a budget", BudgetAsked, BudgetShown, set_budget, OWN, ADMIN, True, refused=_CHANGES),
    Endpoint("GET", "/api/budgets/{budget}", "One budget, by its id", WhichBudget, BudgetShown, read, OWN, ADMIN, refused=_GONE),
    Endpoint("DELETE", "/api/budgets/{budget}", "Lifts a budget", WhichBudget, BudgetShown, remove, OWN, ADMIN, True, refused=_CHANGES),
    Endpoint("GET", "/api/budgets/{budget}/users", "What end users have spent", UsersAsked, UserPage, end_users, OWN, ADMIN, refused=_GONE),
)
