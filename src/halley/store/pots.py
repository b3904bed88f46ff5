"""What is lent and spent of each budget in each period: pots, the leases that relays have of them, and the proof that they add up.

A pot has no money in it: it bounds what an account's credit may be spent on. So it is a sum and no account of the ledger. `lent` is the sum
of its leases' grants less their returns, and is never raised above the budget's amount; `spent`, which is a part of it, is the sum of what
its requests were charged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, and_, func, null, select, tuple_, update

from halley.money import NanoDollars, show
from halley.policy.budgets import BudgetRow, Period, Pot, period
from halley.store import alerts
from halley.store.bulk import insert_rows, inserting
from halley.store.journal import Start
from halley.store.schema import budgets, pot_leases, pots, request_pots, requests
from halley.store.values import Difference

_CHUNK = 900
_NAMED = ("request", "budget", "start", "user")
_PLACE = ("budget", "start", "user")


class State(NamedTuple):
    """A pot as it stands. `held` is what relays may still spend of it."""

    spent: NanoDollars
    held: NanoDollars
    alerted: int


NOTHING_SPENT = State(0, 0, 0)


class PotLease(NamedTuple):
    """As `ledger.Lease`, of a pot."""

    pot: Pot
    relay: str
    granted: NanoDollars
    returned: NanoDollars
    charged: NanoDollars

    @property
    def outstanding(self) -> NanoDollars:
        return self.granted - self.returned - self.charged


def current(row: BudgetRow, now: float) -> Pot:
    """The pot of the period that goes on; of every end user's budget, that of those who name nobody."""
    return Pot(row.id, period(row.reset, row.anchor, now).start, row.subject if row.level == "user" else "")


def left(connection: Connection, wanted: Sequence[Pot]) -> dict[Pot, NanoDollars]:
    """What may still be lent of each pot, in one statement; one whose budget is not in force bounds nothing, and is left out. True until
    the transaction ends, because only one at a time may write."""
    if not wanted:
        return {}
    query = select(budgets.c.id, budgets.c.amount, *(pots.c[name] for name in _PLACE), pots.c.lent)
    query = query.outerjoin(pots, and_(pots.c.budget == budgets.c.id, _among(pots, wanted)))
    query = query.where(budgets.c.id.in_([pot.budget for pot in wanted]), budgets.c.removed_at.is_(None))
    rows = connection.execute(query).all()
    amounts = {row.id: int(row.amount) for row in rows}
    lent = {_pot(row): int(row.lent) for row in rows if row.lent is not None}
    return {pot: amounts[pot.budget] - lent.get(pot, 0) for pot in wanted if pot.budget in amounts}


def grant(connection: Connection, relay: str, amounts: Mapping[Pot, NanoDollars]) -> dict[Pot, NanoDollars]:
    """Lend so much more of each pot to the relay, in as many statements however many they are. Returns the leases' new totals."""
    query = select(budgets.c.id, budgets.c.reset, budgets.c.anchor).where(budgets.c.id.in_([pot.budget for pot in amounts]))
    known = {row.id: row for row in connection.execute(query)} if amounts else {}
    totals = dict(amounts)  # of a budget that another store knew there is nothing else
    if not known:
        return totals
    made: list[dict[str, Any]] = []
    lent: list[dict[str, Any]] = []
    for pot, amount in amounts.items():
        if (row := known.get(pot.budget)) is not None:
            its = period(row.reset, row.anchor, pot.start) if pot.start else Period(0, None)
            place = {"budget": pot.budget, "start": pot.start, "user": pot.user}
            made.append({**place, "until": its.until, "lent": amount, "spent": 0, "alerted": 0})
            lent.append({**place, "relay": relay, "granted": amount, "returned": 0, "charged": 0})
    # What returns something goes to the server as one statement, whatever the driver makes of many rows.
    more = inserting(connection.dialect, pots)
    more = more.on_conflict_do_update(index_elements=list(_PLACE), set_={"lent": pots.c.lent + more.excluded.lent})
    connection.execute(more.returning(pots.c.budget), made).all()
    leased = inserting(connection.dialect, pot_leases)
    becomes = {"granted": pot_leases.c.granted + leased.excluded.granted, "closed_at": null()}
    leased = leased.on_conflict_do_update(index_elements=[*_PLACE, "relay"], set_=becomes)
    rows = connection.execute(leased.returning(*(pot_leases.c[name] for name in _PLACE), pot_leases.c.granted), lent)
    return totals | {_pot(row): int(row.granted) for row in rows}


def leases(connection: Connection, relay: str, wanted: Sequence[Pot]) -> dict[Pot, PotLease]:
    """Those that the relay has of these pots."""
    if not wanted:
        return {}
    found = connection.execute(select(pot_leases).where(_among(pot_leases, wanted), pot_leases.c.relay == relay))
    return {lease.pot: lease for lease in map(_lease, found)}


def lease(connection: Connection, pot: Pot, relay: str) -> PotLease | None:
    return leases(connection, relay, (pot,)).get(pot)


def lenders(connection: Connection, wanted: Sequence[Pot]) -> list[PotLease]:
    """The open leases of these pots."""
    if not wanted:
        return []
    found = connection.execute(select(pot_leases).where(_among(pot_leases, wanted), pot_leases.c.closed_at.is_(None)))
    return [_lease(row) for row in found]


def take_back(connection: Connection, pot: Pot, relay: str, returned: NanoDollars) -> None:
    """Book a return; `returned` is the total of all returns."""
    known = lease(connection, pot, relay)
    if known is None or returned <= known.returned:
        return
    connection.execute(update(pot_leases).where(_is(pot_leases, pot), pot_leases.c.relay == relay).values(returned=returned))
    _lent_less(connection, pot, returned - known.returned)


def meet(connection: Connection, pot: Pot, relay: str, granted: NanoDollars, returned: NanoDollars) -> None:
    """A relay told its totals: of both sides' the greater ones are true."""
    known = lease(connection, pot, relay)
    missing = granted - (known.granted if known is not None else 0)
    if missing > 0:
        grant(connection, relay, {pot: missing})
    take_back(connection, pot, relay, returned)


def close_leases(connection: Connection, relay: str, at: float) -> None:
    """The relay is gone and its journal is folded: what it did not spend goes back."""
    for row in connection.execute(select(pot_leases).where(pot_leases.c.relay == relay, pot_leases.c.closed_at.is_(None))).all():
        known = _lease(row)
        back = max(known.outstanding, 0)
        connection.execute(
            update(pot_leases)
            .where(_is(pot_leases, known.pot), pot_leases.c.relay == relay)
            .values(returned=known.returned + back, closed_at=at)
        )
        _lent_less(connection, known.pot, back)


def name(connection: Connection, starts: Iterable[Start]) -> None:
    """Keep which pots these requests were held against."""
    rows = [(start.request, pot.budget, pot.start, pot.user) for start in starts for pot in start.pots]
    insert_rows(connection, request_pots, _NAMED, rows, ignore_known=True)


def charge(connection: Connection, relay: str, charges: Mapping[str, NanoDollars], at: float) -> None:
    """These requests, which have ended, were charged so much.

    Where a lease does not cover it, the relay was given up for lost and came back: what is missing is lent now, as the ledger does it.
    """
    spent: defaultdict[Pot, NanoDollars] = defaultdict(int)
    paid = [request for request, amount in charges.items() if amount]
    for start in range(0, len(paid), _CHUNK):
        found = select(request_pots).where(request_pots.c.request.in_(paid[start : start + _CHUNK]))
        for row in connection.execute(found):
            spent[_pot(row)] += charges[row.request]
    for pot, amount in spent.items():
        ours = (_is(pot_leases, pot), pot_leases.c.relay == relay)
        outstanding = pot_leases.c.granted - pot_leases.c.returned - pot_leases.c.charged
        rest = connection.scalar(update(pot_leases).where(*ours).values(charged=pot_leases.c.charged + amount).returning(outstanding))
        if rest is None:
            grant(connection, relay, {pot: amount})
            connection.execute(update(pot_leases).where(*ours).values(charged=amount))
        elif rest < 0:
            grant(connection, relay, {pot: -rest})
        connection.execute(update(pots).where(_is(pots, pot)).values(spent=pots.c.spent + amount))
        alerts.cross(connection, pot, at)


def state(connection: Connection, pot: Pot) -> State:
    found = connection.execute(select(pots).where(_is(pots, pot))).one_or_none()
    return NOTHING_SPENT if found is None else State(found.spent, found.lent - found.spent, found.alerted)


def states(connection: Connection, wanted: Sequence[Pot]) -> dict[Pot, State]:
    """Of those that anything was lent of."""
    found: dict[Pot, State] = {}
    for start in range(0, len(wanted), _CHUNK // 3):
        rows = connection.execute(select(pots).where(_among(pots, wanted[start : start + _CHUNK // 3])))
        found.update({_pot(row): State(row.spent, row.lent - row.spent, row.alerted) for row in rows})
    return found


def users_of(connection: Connection, budget: str, start: int, after: str | None, limit: int) -> list[tuple[str, State]]:
    """The end users that have a pot of a budget in a period, by name, behind `after`."""
    query = select(pots).where(pots.c.budget == budget, pots.c.start == start).order_by(pots.c.user).limit(limit)
    if after is not None:
        query = query.where(pots.c.user > after)
    return [(row.user, State(row.spent, row.lent - row.spent, row.alerted)) for row in connection.execute(query)]


def pots_are_their_requests(connection: Connection) -> Iterator[Difference]:
    """That what is spent of each pot is what its requests were charged, and what was lent of it is what its leases say: a check of
    `ledger verify`."""
    charged = (
        select(request_pots.c.budget, request_pots.c.start, request_pots.c.user, func.sum(requests.c.charge))
        .join(requests, and_(requests.c.id == request_pots.c.request, requests.c.ending.is_not(None)))
        .group_by(request_pots.c.budget, request_pots.c.start, request_pots.c.user)
    )
    wanted = {Pot(*place): int(amount) for *place, amount in connection.execute(charged) if amount}
    lent: defaultdict[Pot, NanoDollars] = defaultdict(int)
    taken: defaultdict[Pot, NanoDollars] = defaultdict(int)
    for row in connection.execute(select(pot_leases)):
        known = _lease(row)
        lent[known.pot] += known.granted - known.returned
        taken[known.pot] += known.charged
        if known.outstanding < 0 or (row.closed_at is not None and known.outstanding):
            yield Difference(
                "pots_are_their_requests", f"{_shown(known.pot)} at {known.relay}", f"{show(known.outstanding)} USD outstanding"
            )
    kept = {_pot(row): (int(row.spent), int(row.lent)) for row in connection.execute(select(pots))}
    for pot in sorted(kept.keys() | wanted.keys() | lent.keys(), key=_shown):
        spent, out = kept.get(pot, (0, 0))
        if not spent == wanted.get(pot, 0) == taken[pot]:
            detail = f"spent {show(spent)}, requests come to {show(wanted.get(pot, 0))}, leases to {show(taken[pot])} USD"
            yield Difference("pots_are_their_requests", _shown(pot), detail)
        if out != lent[pot]:
            yield Difference("pots_are_their_requests", _shown(pot), f"lent {show(out)}, leases come to {show(lent[pot])} USD")


def _lent_less(connection: Connection, pot: Pot, amount: NanoDollars) -> None:
    if amount:
        connection.execute(update(pots).where(_is(pots, pot)).values(lent=pots.c.lent - amount))


def _is(table: Any, pot: Pot) -> Any:
    return and_(table.c.budget == pot.budget, table.c.start == pot.start, table.c.user == pot.user)


def _among(table: Any, wanted: Sequence[Pot]) -> Any:
    places = [(pot.budget, pot.start, pot.user) for pot in wanted]
    return tuple_(table.c.budget, table.c.start, table.c.user).in_(places)


def _pot(row: Row[Any]) -> Pot:
    return Pot(row.budget, row.start, row.user)


def _lease(row: Row[Any]) -> PotLease:
    return PotLease(_pot(row), row.relay, row.granted, row.returned, row.charged)


def _shown(pot: Pot) -> str:
    return f"{pot.budget} from {pot.start}" + (f' of end user "{pot.user}"' if pot.user else "")
