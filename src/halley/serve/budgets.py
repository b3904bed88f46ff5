"""Budgets at this relay: which stand over a caller, the pot of each at a moment, and the end user whose pot it is.

A pot is lent from like an account; what a relay was lent of a pot whose period is over is worth nothing any more, and is forgotten. A key
over which no budget stands has no `Levels`, and its requests pay for none of this.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import TYPE_CHECKING

import msgspec

from halley.errors import Condition, Refused
from halley.money import NanoDollars
from halley.policy.budgets import LEVELS, MOST_END_USER, BudgetRow, Pot, described, moment, period
from halley.policy.snapshot import KeyRow

if TYPE_CHECKING:
    from halley.net.server import Request
    from halley.wire.jsonbody import Members, Places

END_USER = b"x-halley-end-user"
# How long a pot is kept beyond its period: a clock may be set back a little.
_GRACE_S = 60.0


class Lease:
    """Credit that control has lent to this relay. `spendable` is what it still covers; totals are those of the link's messages."""

    __slots__ = ("granted", "returned", "spendable")

    def __init__(self) -> None:
        self.granted: NanoDollars = 0
        self.returned: NanoDollars = 0
        self.spendable: NanoDollars = 0

    def lend(self, granted: NanoDollars) -> None:
        """Control has lent more: the new total."""
        if granted > self.granted:
            self.spendable += granted - self.granted
            self.granted = granted

    def give_back(self) -> NanoDollars:
        """Return what no open request holds; the new total of all returns."""
        if self.spendable > 0:
            self.returned += self.spendable
            self.spendable = 0
        return self.returned


class PotLease(Lease):
    """A pot at this relay. `until` is when its period ends, Unix seconds, None if it never does; `lowered` says that its budget has become
    less than it was when something was lent of it. Until `known`, its totals are not those of the link's messages: the relay had forgotten
    it. `used` says that a request came to it since somebody last looked, `doubtful` that a grant of it may have been lost on its way."""

    __slots__ = ("doubtful", "id", "known", "lowered", "row", "until", "used")

    def __init__(self, pot: Pot, row: BudgetRow, until: int | None, *, known: bool = True) -> None:
        super().__init__()
        self.id = pot
        self.row = row
        self.until = until
        self.lowered = self.doubtful = False
        self.known = known
        self.used = True

    def learn(self, granted: NanoDollars, returned: NanoDollars) -> None:
        """What control says of a lease that was forgotten; nothing of it is left here."""
        if not self.known:
            self.granted, self.returned, self.known = granted, returned, True

    def used_up(self, need: str) -> Refused:
        """What a request is told that may cost `need` dollars and does not fit."""
        whose = described(self.row, self.id.user)
        until = f"until {moment(self.until)}" if self.until is not None else "and does not start anew"
        words = f"This request may cost up to {need} USD, more than what is left of {whose}, {until}."
        return Refused(Condition.NO_CREDIT, words)


class Standing:
    """One budget, with the pots of the period that goes on."""

    __slots__ = ("_forgotten", "_pots", "_until", "row")

    def __init__(self, row: BudgetRow) -> None:
        self.row = row
        self._forgotten: set[int] = set()  # where periods began of which pots were forgotten
        self._pots: dict[str, PotLease] = {}
        self._until: float = 0.0

    def pot(self, wall: float, user: str = "") -> PotLease:
        if wall >= self._until:
            self._pots = {}
        found = self._pots.get(user)
        if found is None:
            its = period(self.row.reset, self.row.anchor, wall)
            self._until = float("inf") if its.until is None else float(its.until)
            known = its.start not in self._forgotten
            found = self._pots[user] = PotLease(Pot(self.row.id, its.start, user), self.row, its.until, known=known)
        found.used = True
        return found

    def forget(self, pot: Pot) -> None:
        """It was given back; who asks for it again learns of its totals anew."""
        kept = self._pots.get(pot.user)
        if kept is not None and kept.id == pot:
            del self._pots[pot.user]
        self._forgotten.add(pot.start)

    @property
    def size(self) -> int:
        return len(self._pots)

    def tidy(self, leased: Container[Pot]) -> None:
        """Drop the pots of end users that nothing was lent of and nobody has asked for since the last time."""
        for user, pot in list(self._pots.items()):
            if user and pot.id not in leased:
                if not pot.used:
                    del self._pots[user]
                pot.used = False

    def become(self, row: BudgetRow) -> None:
        """It was changed. In other periods it has other pots; in the same, what was lent goes on."""
        before = self.row
        lowered = row.amount < before.amount
        self.row = row
        if (row.reset, row.anchor) != (before.reset, before.anchor):
            for pot in self._pots.values():
                pot.lowered = True
                self._forgotten.add(pot.id.start)  # periods may be set back to what they were
            self._pots = {}
        for pot in self._pots.values():
            pot.row = row
            pot.lowered = pot.lowered or lowered


class Levels:
    """The budgets that stand over a caller's requests, in the order in which they are held."""

    __slots__ = ("_everyone", "_fixed", "_named")

    def __init__(self, fixed: tuple[Standing, ...], everyone: Standing | None, named: dict[str, Standing]) -> None:
        self._fixed = fixed
        self._everyone = everyone
        self._named = named

    def pots(self, request: Request, members: Members | Places, where: tuple[str, ...], wall: float) -> tuple[PotLease, ...]:
        """Those of a request at a moment. Raises Refused when it names its end user by what is no name."""
        pots = [standing.pot(wall) for standing in self._fixed]
        if self._everyone is not None or self._named:
            user = end_user(request, members, where)
            standing = self._named.get(user)
            if standing is not None:
                pots.append(standing.pot(wall, user))
            elif self._everyone is not None:
                pots.append(self._everyone.pot(wall, user))
        return tuple(pots)


class _Metadata(msgspec.Struct):
    user_id: str | None = None


_text = msgspec.json.Decoder(str | None).decode
_metadata = msgspec.json.Decoder(_Metadata).decode


def end_user(request: Request, members: Members | Places, where: tuple[str, ...]) -> str:
    """Whom a request is for: by Halley's own field, else by the first of its dialect's members that says so; empty if nobody is named.
    `where` names members; `metadata.user_id` is a member of a member. Raises Refused."""
    field = request.fields.get(END_USER)
    if field is not None:
        return _named(field.decode("latin-1"), END_USER.decode())
    for name in where:
        outer, _, inner = name.partition(".")
        raw = members.get(outer)
        if raw is None:
            continue
        try:
            found = _metadata(raw).user_id if inner else _text(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue  # whether it may be anything else is its provider's business
        if found:
            return _named(found, name)
    return ""


def _named(text: str, param: str) -> str:
    if len(text) > MOST_END_USER or not text.isprintable():
        raise Refused(
            Condition.INVALID, f"{param} must be 1 to {MOST_END_USER} printable characters: end users have budgets here.", param=param
        )
    return text


class Budgets:
    """All budgets of this relay; `apply` takes a snapshot's, and keeps the pots of those that stay."""

    def __init__(self) -> None:
        self._standing: dict[str, Standing] = {}
        self._by_place: dict[tuple[str, str], dict[str, Standing]] = {}

    def apply(self, rows: Iterable[BudgetRow]) -> None:
        standing: dict[str, Standing] = {}
        by_place: dict[tuple[str, str], dict[str, Standing]] = {}
        for row in rows:
            kept = self._standing.get(row.id)
            if kept is None:
                kept = Standing(row)
            elif kept.row != row:
                kept.become(row)
            standing[row.id] = kept
            by_place.setdefault((row.account, row.level), {})[row.subject] = kept
        self._standing, self._by_place = standing, by_place

    def over(self, key: KeyRow) -> Levels | None:
        """What stands over the requests of a key; None if nothing does."""
        if not self._by_place:
            return None
        subjects = {"account": key.account, "team": key.team or "", "key": key.id}
        found = (self._by_place.get((key.account, level), {}).get(subjects[level]) for level in LEVELS if level in subjects)
        fixed = tuple(standing for standing in found if standing is not None)
        users = self._by_place.get((key.account, "user"), {})
        named = {name: standing for name, standing in users.items() if name}
        return Levels(fixed, users.get(""), named) if fixed or users else None

    @property
    def size(self) -> int:
        """How many pots there are."""
        return sum(standing.size for standing in self._standing.values())

    def tidy(self, leased: Container[Pot]) -> None:
        """As `Standing.tidy`."""
        for standing in self._standing.values():
            standing.tidy(leased)

    def forget(self, pot: Pot) -> None:
        """As `Standing.forget`."""
        standing = self._standing.get(pot.budget)
        if standing is not None:
            standing.forget(pot)


def is_over(pot: PotLease, wall: float) -> bool:
    """Whether the pot's period has been over for long enough that no request begins in it any more."""
    return pot.until is not None and wall > pot.until + _GRACE_S
