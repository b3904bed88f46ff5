"""What relays are lent of budgets, what is spent of them, and the proof that it adds up, against a model of a few lines."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import msgspec
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import Engine, event

from halley.chat.usage import Usage
from halley.policy.budgets import LEVELS, Pot
from halley.store import alerts, budgets, customers, fold, lending, pots
from halley.store.database import Store, open_store
from halley.store.journal import End, Start
from halley.store.messages import LeaseAsked, LeaseWanted, PotWanted
from halley.store.replay import Position, Read
from halley.store.values import Limits
from halley.store.verify import verify
from tests.store.conftest import RELAY

Pair = Callable[..., tuple[Start, End]]
OTHER = "relay-1-1-1"


def wanting(need: int, *of: Pot, least: int | None = None) -> LeaseWanted:
    """Of an account that needs nothing itself."""
    return LeaseWanted("acme", 0, 0, tuple(PotWanted(pot, need, need if least is None else least) for pot in of))


@pytest.fixture
def pot(store: Store) -> Iterator[Pot]:
    with store.begin() as connection:
        made = budgets.set_budget(connection, ("acme", "account", ""), 1000, "none", None, 0.0)
    yield Pot(made.id, 0)


def lend(store: Store, relay: str, wanted: LeaseWanted) -> tuple[int, ...] | None:
    """The totals of pots; None when not all of them cover the need."""
    with store.begin() as connection:
        amounts = lending.in_full(connection, wanted)
        if amounts is None:
            return None
        return tuple(total for _, total in lending.grant(connection, relay, wanted, amounts, 0.0).pots)


def book(store: Store, relay: str, *records: Start | End) -> None:
    with store.begin() as connection:
        fold.fold(connection, relay, Read(records, (), Position(1)), 3.0)


def test_a_budget_is_lent_in_shares_and_exactly_when_it_runs_short(store: Store, pot: Pot) -> None:
    assert lend(store, RELAY, wanting(10, pot)) == (50,)
    assert lend(store, RELAY, wanting(100, pot)) == (150,)
    assert lend(store, OTHER, wanting(840, pot)) == (840,)
    assert lend(store, OTHER, wanting(11, pot)) is None
    with store.begin() as connection:
        rest = wanting(11, pot, least=10)
        assert lending.grant(connection, OTHER, rest, lending.in_part(connection, rest), 0.0).pots == ((pot, 850),)
        assert lending.grant(connection, OTHER, rest, lending.in_part(connection, rest), 0.0).pots == ((pot, 850),)
        assert pots.left(connection, [pot]) == {pot: 0}


def test_when_one_level_refuses_nothing_is_lent_of_another(store: Store, pot: Pot) -> None:
    with store.begin() as connection:
        small = Pot(budgets.set_budget(connection, ("acme", "user", ""), 5, "none", None, 0.0).id, 0, "ada")
    assert lend(store, RELAY, wanting(10, pot, small)) is None
    with store.begin() as connection:
        assert pots.left(connection, [pot]) == {pot: 1000}
        assert pots.left(connection, [small]) == {small: 5}


def test_a_return_is_booked_once_and_a_dead_relay_gives_back_what_it_did_not_spend(store: Store, pot: Pot, pair: Pair) -> None:
    start, end = pair(tokens=100)
    start = msgspec.structs.replace(start, pots=(pot,))
    with store.begin() as connection:
        budgets.set_budget(connection, ("acme", "account", ""), 10**6, "none", None, 0.0)
    assert lend(store, RELAY, wanting(700_000, pot)) == (700_000,)
    with store.begin() as connection:
        for _ in range(2):
            pots.take_back(connection, pot, RELAY, 50_000)
        assert pots.left(connection, [pot]) == {pot: 350_000}
    book(store, RELAY, start, end)
    with store.begin() as connection:
        assert pots.state(connection, pot) == (end.charge, 650_000 - end.charge, 50)
        fold.end_of_relay(connection, RELAY, 4.0)
        assert pots.state(connection, pot) == (end.charge, 0, 50)
        assert pots.left(connection, [pot]) == {pot: 10**6 - end.charge}
        assert verify(connection).differences == ()


def test_an_end_that_comes_later_or_twice_is_spent_once_and_in_the_period_of_its_start(store: Store, pair: Pair) -> None:
    with store.begin() as connection:
        made = budgets.set_budget(connection, ("acme", "account", ""), 10**9, "day", None, 0.0)
    first, second = Pot(made.id, 0), Pot(made.id, 86400)
    start, end = pair(tokens=10)
    start = msgspec.structs.replace(start, pots=(first,))
    lend(store, RELAY, wanting(10**6, first))
    lend(store, RELAY, wanting(10**6, second))
    book(store, RELAY, start)
    for _ in range(2):
        book(store, RELAY, start, msgspec.structs.replace(end, at=90000.0))
    with store.begin() as connection:
        assert pots.state(connection, first).spent == end.charge
        assert pots.state(connection, second).spent == 0
        assert verify(connection).differences == ()


def test_the_journal_of_a_relay_that_was_given_up_is_spent_all_the_same(store: Store, pot: Pot, pair: Pair) -> None:
    start, end = pair(tokens=100)
    book(store, OTHER, msgspec.structs.replace(start, pots=(pot,), leased=False), end)
    with store.begin() as connection:
        assert pots.state(connection, pot) == (end.charge, 0, 100)
        assert [each.check for each in verify(connection).differences] == []


def test_each_share_of_a_budget_is_told_once(store: Store, pair: Pair) -> None:
    first, second = pair(tokens=60), pair(tokens=40)
    amount = first[1].charge + second[1].charge
    with store.begin() as connection:
        made = budgets.set_budget(connection, ("acme", "account", ""), amount, "none", None, 0.0)
    pot = Pot(made.id, 0)
    lend(store, RELAY, wanting(amount, pot))
    told: list[list[int]] = []
    for start, end in (first, second, second):
        book(store, RELAY, msgspec.structs.replace(start, pots=(pot,)), end)
        with store.begin() as connection:
            told.append(sorted(msgspec.json.decode(each.body)["data"]["percent"] for each in alerts.untold(connection)))
    assert told == [[50], [80, 100], []]
    with store.begin() as connection:
        found = alerts.due(connection, 10.0)
        assert len({each.id for each in found}) == 3
        alerts.put_off(connection, found[0].id, 20.0)
        alerts.put_off(connection, found[1].id, None)
        assert [each.id for each in alerts.due(connection, 10.0)] == [found[2].id]
        assert {each.id: each.attempts for each in alerts.due(connection, 20.0)} == {found[0].id: 1, found[2].id: 0}


@pytest.mark.parametrize("most", [1, 4])
def test_however_many_pots_a_lease_wants_it_is_as_many_statements(store: Store, pot: Pot, most: int) -> None:
    with store.begin() as connection:
        budgets.create_team(connection, "acme", "crew", 0.0)
        levels = [("team", "crew"), ("user", "ada"), ("user", "")]
        more = [Pot(budgets.set_budget(connection, ("acme", *level), 1000, "none", None, 0.0).id, 0, level[1]) for level in levels]
    wanted = wanting(10, *[pot, *more][:most])
    said: list[str] = []
    event.listen(Engine, "before_cursor_execute", listener := lambda *call: said.append(cast("str", call[2])))
    try:
        assert lend(store, RELAY, wanted) == (50,) * most
        with store.read() as connection:
            asked = LeaseAsked("acme", tuple(each.pot for each in wanted.pots))
            assert [state.granted for state in lending.told(connection, RELAY, asked).leases] == [50] * most
            assert [relay for relay, _ in lending.lenders(connection, wanted)] == [RELAY] * most
    finally:
        event.remove(Engine, "before_cursor_execute", listener)
    about_pots = [text for text in said if re.search(r"\b(pots|pot_leases|budgets)\b", text)]
    assert len(about_pots) == 6, about_pots


def test_a_budget_that_is_lifted_bounds_nothing(store: Store, pot: Pot) -> None:
    with store.begin() as connection:
        budgets.remove_budget(connection, pot.budget, 1.0)
    assert lend(store, RELAY, wanting(5000, pot)) == (5000,)


def test_of_both_sides_totals_the_greater_are_true(store: Store, pot: Pot) -> None:
    lend(store, RELAY, wanting(400, pot))
    with store.begin() as connection:
        pots.meet(connection, pot, RELAY, 500, 100)
        assert pots.lease(connection, pot, RELAY) == pots.PotLease(pot, RELAY, 500, 100, 0)
        pots.meet(connection, pot, RELAY, 0, 0)
        assert pots.left(connection, [pot]) == {pot: 600}


class Machine(RuleBasedStateMachine):
    """Two relays, all four levels, against sums of a few lines."""

    def __init__(self, make: Callable[[], Store]) -> None:
        super().__init__()
        self.store = make()
        self.amounts: dict[str, int] = {}
        self.granted: dict[tuple[str, Pot], int] = {}
        self.returned: dict[tuple[str, Pot], int] = {}
        self.spendable: dict[tuple[str, Pot], int] = {}
        self.spent: dict[Pot, int] = {}
        self.count = 0

    @initialize(amounts=st.lists(st.integers(0, 3000), min_size=4, max_size=4))
    def set_up(self, amounts: list[int]) -> None:
        with self.store.begin() as connection:
            customers.create_account(connection, "acme", 0.0, unlimited=True)
            budgets.create_team(connection, "acme", "crew", 0.0)
            _, key = customers.create_key(connection, self.store.pepper, "k", "acme", Limits(team="crew"), 0.0)
            subjects = {"account": "", "team": "crew", "key": key.id, "user": ""}
            for level, amount in zip(LEVELS, amounts, strict=True):
                made = budgets.set_budget(connection, ("acme", level, subjects[level]), amount, "none", None, 0.0)
                self.amounts[made.id] = amount
        self.key = key.id

    def pots(self, user: str) -> tuple[Pot, ...]:
        *fixed, users = self.amounts
        return (*(Pot(each, 0) for each in fixed), Pot(users, 0, user))

    def out(self, pot: Pot) -> int:
        relays = (RELAY, OTHER)
        return sum(self.granted.get((relay, pot), 0) - self.returned.get((relay, pot), 0) for relay in relays)

    @rule(relay=st.sampled_from((RELAY, OTHER)), user=st.sampled_from(("", "ada", "bob")), need=st.integers(1, 700))
    def ask(self, relay: str, user: str, need: int) -> None:
        wanted = wanting(need, *self.pots(user))
        totals = lend(self.store, relay, wanted)
        enough = all(self.amounts[pot.budget] - self.out(pot) >= need for pot in self.pots(user))
        assert (totals is not None) == enough
        for pot, total in zip(self.pots(user), totals or (), strict=totals is not None):
            self.spendable[relay, pot] = self.spendable.get((relay, pot), 0) + total - self.granted.get((relay, pot), 0)
            self.granted[relay, pot] = total

    @rule(relay=st.sampled_from((RELAY, OTHER)), user=st.sampled_from(("", "ada", "bob")), tokens=st.integers(0, 100), late=st.booleans())
    def serve(self, relay: str, user: str, tokens: int, late: bool) -> None:
        charge = tokens
        mine = self.pots(user)
        if any(self.spendable.get((relay, pot), 0) < charge for pot in mine):
            return
        self.count += 1
        name = f"req_{self.count:026d}"
        start = Start(name, 1.0, "acme", self.key, "chat", "m", "v", charge, False, False, 1, None, mine)
        end = End(name, 2.0, "complete", 200, "p", Usage(), False, charge, 0, 1, 1, 1, 0.1, 0.2, 0.3)
        if late:
            book(self.store, relay, start)
        book(self.store, relay, *(() if late else (start,)), end)
        for pot in mine:
            self.spendable[relay, pot] = self.spendable.get((relay, pot), 0) - charge
            self.spent[pot] = self.spent.get(pot, 0) + charge

    @rule(relay=st.sampled_from((RELAY, OTHER)), user=st.sampled_from(("", "ada", "bob")))
    def give_back(self, relay: str, user: str) -> None:
        for pot in self.pots(user):
            idle = self.spendable.get((relay, pot), 0)
            self.returned[relay, pot] = self.returned.get((relay, pot), 0) + idle
            self.spendable[relay, pot] = 0
            with self.store.begin() as connection:
                pots.take_back(connection, pot, relay, self.returned[relay, pot])

    @rule(relay=st.sampled_from((RELAY, OTHER)))
    def die(self, relay: str) -> None:
        with self.store.begin() as connection:
            fold.end_of_relay(connection, relay, 5.0)
        for place in [place for place in self.spendable if place[0] == relay]:
            self.returned[place] = self.returned.get(place, 0) + self.spendable[place]
            self.spendable[place] = 0

    @invariant()
    def adds_up(self) -> None:
        if not self.amounts:
            return
        with self.store.begin() as connection:
            assert list(pots.pots_are_their_requests(connection)) == []
            for user in ("", "ada", "bob"):
                for pot in self.pots(user):
                    state = pots.state(connection, pot)
                    assert (state.spent, state.spent + state.held) == (self.spent.get(pot, 0), self.out(pot))
                    assert 0 <= state.spent <= state.spent + state.held <= self.amounts[pot.budget]

    def teardown(self) -> None:
        self.store.close()


@pytest.mark.parametrize("where", ["sqlite", "postgresql"])
def test_budgets_hold_against_a_model(request: pytest.FixtureRequest, tmp_path: Path, where: str) -> None:
    numbers = itertools.count()

    def make() -> Store:
        home = tmp_path / str(next(numbers))
        home.mkdir()
        return open_store(request.getfixturevalue("shelf")().url if where == "postgresql" else "", home, "", {})

    effort = settings(max_examples=10, stateful_step_count=25, deadline=None, phases=(Phase.explicit, Phase.generate))
    run_state_machine_as_test(lambda: Machine(make), settings=effort)
