"""Leases at the relay: who waits, who goes, who is refused."""

from types import SimpleNamespace
from typing import Any

import pytest

from halley.errors import Condition, Refused
from halley.money import Price
from halley.policy.budgets import BudgetRow, Pot
from halley.policy.pricing import Worst
from halley.policy.snapshot import KeyRow
from halley.serve import credit as credit_module
from halley.serve.budgets import Budgets, PotLease, Standing
from halley.serve.credit import WAIT_S, Credit
from halley.serve.hold import Hold
from halley.serve.tables import Account
from halley.store.messages import (
    FromRelay,
    Granted,
    LeaseAsked,
    LeaseReturned,
    LeaseState,
    LeaseTold,
    LeaseWanted,
    PotWanted,
)


class Request:
    """A request that waits for credit and holds it when it gets it; its price is one nano-dollar per token of output."""

    def __init__(self, account: Account, need: int, *pots: PotLease, flexible: bool = False) -> None:
        self.account = account
        self.hold = Hold(account, Worst.of(Price(output=1000)), 0, need, 1, flexible=flexible)
        self.hold.pots = pots
        self.waits_until = 0.0
        self.went = False
        self.refusal: Refused | None = None

    def credited(self) -> bool:
        self.went = self.hold.take()
        return self.went

    def made_do(self) -> bool:
        self.went = self.hold.take_less()
        return self.went

    def refused(self, refusal: Refused) -> None:
        self.refusal = refusal


def pot_of(amount: int = 100, user: str = "") -> PotLease:
    row = BudgetRow("budget_1", "a", "user" if user else "key", "" if user else "key_1", amount, "month")
    return PotLease(Pot("budget_1", 1761955200, user), row, 1764547200)


class Control:
    def __init__(self) -> None:
        self.heard: list[FromRelay] = []
        self.now = 0.0
        self.up = True
        self.wall = 1762000000.0
        self.credit = Credit(self.hear, lambda: self.now, lambda: self.wall)

    def hear(self, message: FromRelay) -> bool:
        self.heard.append(message)
        return self.up


def test_one_question_is_asked_for_all_who_wait_and_a_grant_lets_them_go_in_order() -> None:
    control, account = Control(), Account("a")
    requests = [Request(account, 10) for _ in range(3)]
    for request in requests:
        control.credit.wait(request)
    assert control.heard == [LeaseWanted("a", 10, 10)]
    control.credit.granted(Granted("a", 20))
    assert [request.went for request in requests] == [True, True, False]
    assert control.heard[-1] == LeaseWanted("a", 10, 10)
    control.credit.granted(Granted("a", 30))
    assert requests[2].went
    assert account.spendable == 0


def test_an_unchanged_grant_refuses_the_one_it_was_asked_for_and_asks_for_the_next() -> None:
    control, account = Control(), Account("a")
    dear, cheap = Request(account, 100), Request(account, 5)
    control.credit.wait(dear)
    control.credit.wait(cheap)
    control.credit.granted(Granted("a", 0))
    assert dear.refusal is not None
    assert dear.refusal.condition is Condition.NO_CREDIT
    assert control.heard[-1] == LeaseWanted("a", 5, 5)
    control.credit.granted(Granted("a", 5))
    assert cheap.went


def test_without_an_answer_in_time_the_request_is_refused_and_never_served_free() -> None:
    control, account = Control(), Account("a")
    request = Request(account, 10)
    control.credit.wait(request)
    control.credit.each_second(WAIT_S - 0.1)
    assert request.refusal is None
    control.credit.each_second(WAIT_S)
    assert request.refusal is not None
    assert request.refusal.condition is Condition.OVERLOADED
    control.credit.granted(Granted("a", 10))
    assert not request.went
    assert account.spendable == 10


def test_a_recall_gives_back_what_no_request_holds_and_says_totals() -> None:
    control, account = Control(), Account("a")
    request = Request(account, 10)
    control.credit.wait(request)
    control.credit.granted(Granted("a", 50))
    control.credit.recalled("a")
    assert control.heard[-1] == LeaseReturned("a", 40)
    control.credit.recalled("a")
    assert control.heard[-1] == LeaseReturned("a", 40)
    assert control.credit.states() == (LeaseState("a", 50, 40),)
    control.credit.recalled("stranger")
    assert control.heard[-1] == LeaseReturned("stranger", 0)


def test_a_grant_that_arrives_late_or_twice_changes_nothing() -> None:
    control, account = Control(), Account("a")
    control.credit.wait(Request(account, 10))
    control.credit.granted(Granted("a", 50))
    control.credit.granted(Granted("a", 50))
    control.credit.granted(Granted("a", 10))
    assert account.granted == 50


def test_after_a_new_link_those_who_wait_are_asked_for_again() -> None:
    control, account = Control(), Account("a")
    control.credit.wait(Request(account, 10))
    control.heard.clear()
    control.credit.reconnected()
    assert control.heard == [LeaseWanted("a", 10, 10)]


def test_a_client_that_left_is_forgotten() -> None:
    control, account = Control(), Account("a")
    request = Request(account, 10)
    control.credit.wait(request)
    control.credit.forget(request)
    control.credit.granted(Granted("a", 10))
    assert not request.went


def test_an_answer_refuses_nobody_but_the_one_it_was_asked_for() -> None:
    control, account = Control(), Account("a")
    dear, cheap = Request(account, 100), Request(account, 5)
    control.credit.wait(dear)
    control.credit.wait(cheap)
    control.credit.forget(dear)
    control.credit.granted(Granted("a", 0))
    assert cheap.refusal is None
    assert control.heard[-1] == LeaseWanted("a", 5, 5)
    control.credit.granted(Granted("a", 5))
    assert cheap.went


def test_the_answer_to_a_client_that_left_refuses_none_that_came_after_it() -> None:
    control, account = Control(), Account("a")
    gone, later = Request(account, 100), Request(account, 5)
    control.credit.wait(gone)
    control.credit.forget(gone)
    control.credit.wait(later)
    control.credit.granted(Granted("a", 0))
    assert later.refusal is None
    assert control.heard == [LeaseWanted("a", 100, 100), LeaseWanted("a", 5, 5)]


def test_one_question_is_open_at_a_time_and_none_while_the_link_is_down() -> None:
    control, account = Control(), Account("a")
    first, second = Request(account, 10), Request(account, 20)
    control.up = False
    control.credit.wait(first)
    control.up = True
    control.credit.wait(second)
    assert control.heard == [LeaseWanted("a", 10, 10), LeaseWanted("a", 30, 10)]
    control.credit.wait(Request(account, 1))
    assert len(control.heard) == 2


def test_nobody_makes_do_with_less_before_control_was_asked_for_its_own_need() -> None:
    control, account = Control(), Account("a")
    first, second = Request(account, 1000), Request(account, 5000, flexible=True)
    control.credit.wait(first)
    control.credit.wait(second)
    control.credit.granted(Granted("a", 2000))
    assert first.went
    assert not second.went
    assert control.heard[-1] == LeaseWanted("a", 4000, 0)
    control.credit.granted(Granted("a", 2500))
    assert second.went
    assert second.hold.cap == 1500


def test_what_the_lease_still_covers_is_not_asked_for_again() -> None:
    control, account = Control(), Account("a")
    account.lend(40)
    request = Request(account, 100)
    control.credit.wait(request)
    assert control.heard == [LeaseWanted("a", 60, 60)]
    control.credit.granted(Granted("a", 100))
    assert request.went


def test_credit_that_was_recalled_while_a_request_waited_is_asked_for_again() -> None:
    control, account = Control(), Account("a")
    account.lend(40)
    request = Request(account, 100)
    control.credit.wait(request)
    control.credit.recalled("a")
    control.credit.granted(Granted("a", 100))
    assert request.refusal is None
    assert control.heard[-1] == LeaseWanted("a", 40, 40)
    control.credit.granted(Granted("a", 140))
    assert request.went


def test_account_and_pots_are_asked_for_together_and_held_together() -> None:
    control, account, pot = Control(), Account("a"), pot_of()
    requests = [Request(account, 10, pot) for _ in range(2)]
    for request in requests:
        control.credit.wait(request)
    assert control.heard == [LeaseWanted("a", 10, 10, (PotWanted(pot.id, 10, 10),))]
    control.credit.granted(Granted("a", 20, ((pot.id, 15),)))
    assert [request.went for request in requests] == [True, False]
    assert (account.spendable, pot.spendable) == (10, 5)
    assert control.heard[-1] == LeaseWanted("a", 0, 0, (PotWanted(pot.id, 5, 5),))
    requests[0].hold.end(4)
    assert (account.spendable, pot.spendable) == (16, 11)
    control.credit.granted(Granted("a", 20, ((pot.id, 15),)))
    assert requests[1].went
    assert requests[1].hold.held_in == (pot.id,)
    assert (account.spendable, pot.spendable) == (6, 1)


def test_the_level_that_has_no_more_is_named_and_the_account_keeps_what_it_has() -> None:
    control, account, pot = Control(), Account("a"), pot_of(user="ada")
    request = Request(account, 10, pot)
    control.credit.wait(request)
    control.credit.granted(Granted("a", 50, ((pot.id, 0),)))
    assert request.refusal is not None and request.refusal.condition is Condition.NO_CREDIT
    assert request.refusal.message == (
        'This request may cost up to 0.00000001 USD, more than what is left of the budget of end user "ada" '
        "(0.0000001 USD a month), until 2025-12-01T00:00:00Z."
    )
    assert account.spendable == 50


def test_a_request_without_a_cap_makes_do_with_the_shortest_level() -> None:
    control, account, pot = Control(), Account("a"), pot_of()
    request = Request(account, 1000, pot, flexible=True)
    control.credit.wait(request)
    assert control.heard == [LeaseWanted("a", 1000, 256, (PotWanted(pot.id, 1000, 256),))]
    control.credit.granted(Granted("a", 5000, ((pot.id, 300),)))
    assert request.went
    assert (request.hold.cap, account.spendable, pot.spendable) == (300, 4700, 0)


def test_an_unlimited_account_is_lent_nothing_and_its_budget_holds() -> None:
    control, account, pot = Control(), Account("a"), pot_of()
    account.unlimited = True
    first, second = Request(account, 60, pot), Request(account, 60, pot)
    control.credit.wait(first)
    control.credit.wait(second)
    control.credit.granted(Granted("a", 0, ((pot.id, 60),)))
    assert first.went and not first.hold.leased
    assert control.heard[-1] == LeaseWanted("a", 0, 0, (PotWanted(pot.id, 60, 60),))
    control.credit.granted(Granted("a", 0, ((pot.id, 60),)))
    assert second.refusal is not None


def test_a_pot_is_recalled_told_and_forgotten_after_its_period() -> None:
    control, account, pot = Control(), Account("a"), pot_of()
    request = Request(account, 10, pot)
    control.credit.wait(request)
    control.credit.granted(Granted("a", 10, ((pot.id, 40),)))
    control.credit.recalled(pot.id)
    assert control.heard[-1] == LeaseReturned(pot.id, 30)
    assert control.credit.states() == (LeaseState("a", 10, 0), LeaseState(pot.id, 40, 30))
    assert pot.until is not None
    control.wall = pot.until + 61
    control.credit.each_second(0.0)
    assert control.credit.states() == (LeaseState("a", 10, 0),)
    request.hold.end(10)
    control.credit.recalled(pot.id)
    assert control.heard[-1] == LeaseReturned(pot.id, 0)


def test_what_was_lent_of_a_budget_that_is_lowered_goes_back() -> None:
    control, account, standing = Control(), Account("a"), Standing(pot_of(1000).row)
    pot = standing.pot(control.wall)
    request = Request(account, 10, pot)
    control.credit.wait(request)
    control.credit.granted(Granted("a", 10, ((pot.id, 50),)))
    standing.become(pot_of(2000).row)
    control.credit.reviewed()
    assert pot.spendable == 40
    standing.become(pot_of(5).row)
    for _ in range(2):
        control.credit.reviewed()
    assert control.heard[-1] == LeaseReturned(pot.id, 40) and control.heard.count(LeaseReturned(pot.id, 40)) == 1
    assert pot.spendable == 0 and standing.pot(control.wall) is pot


def asking_for(user: str) -> Any:
    """A request that names its end user."""
    return SimpleNamespace(fields={b"x-halley-end-user": user.encode()})


def test_end_users_who_are_gone_are_given_back_and_come_again_at_the_totals_that_control_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credit_module, "MOST_POTS", 2)
    control, account, budgets = Control(), Account("a"), Budgets()
    account.unlimited = True
    held: set[Pot] = set()
    control.credit = Credit(control.hear, lambda: control.now, lambda: control.wall, budgets, lambda: held)
    budgets.apply((BudgetRow("budget_1", "a", "user", "", 100),))
    levels = budgets.over(KeyRow("key_1", b"", "a", "k"))
    assert levels is not None

    def ask(user: str, need: int) -> tuple[Request, Pot]:
        pots = levels.pots(asking_for(user), {}, (), control.wall)
        request = Request(account, need, *pots)
        if not request.credited():
            control.credit.wait(request)
        return request, pots[0].id

    def round_of_tidying() -> None:
        control.now += credit_module.TIDY_S
        control.credit.each_second(control.now)

    found = {user: ask(user, 10) for user in ("ada", "bob", "eve")}
    for _, pot in found.values():
        control.credit.granted(Granted("a", 0, ((pot, 50),)))
    ada, bob, eve = (request for request, _ in found.values())
    assert ada.went and bob.went and eve.went
    ada.hold.end(4)
    bob.hold.end(10)
    held.add(found["eve"][1])
    ask("free", 0)  # nothing is lent of it
    assert budgets.size == 4
    control.heard.clear()
    round_of_tidying()
    assert control.heard == [] and budgets.size == 4
    ask("bob", 1)[0].hold.end(1)
    round_of_tidying()
    # Whoever came again since the last round stays, and so does who is being served.
    pot = found["ada"][1]
    assert control.heard == [LeaseReturned(pot, 46)] and budgets.size == 2
    assert {state.source for state in control.credit.states()} == {"a", found["bob"][1], found["eve"][1]}
    control.heard.clear()
    again, _ = ask("ada", 10)
    assert control.heard == [LeaseAsked("a", (pot,))] and pot not in {state.source for state in control.credit.states()}
    control.credit.reconnected()
    assert control.heard == [LeaseAsked("a", (pot,))] * 2
    for _ in "12":
        control.credit.told(LeaseTold("a", (LeaseState(pot, 50, 46),)))
    assert control.heard[2:] == [LeaseWanted("a", 0, 0, (PotWanted(pot, 10, 10),))] * 2 and not again.went
    control.credit.granted(Granted("a", 0, ((pot, 80),)))
    assert again.went
    again.hold.end(10)
    control.credit.recalled(pot)
    assert control.heard[-1] == LeaseReturned(pot, 46 + 20)


def test_a_pot_of_which_a_grant_may_be_lost_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credit_module, "MOST_POTS", 0)
    control, account, pot = Control(), Account("a"), pot_of(user="ada")
    request = Request(account, 10, pot)
    control.credit.wait(request)
    control.credit.reconnected()
    control.credit.each_second(WAIT_S)
    assert request.refusal is not None
    control.heard.clear()
    for now in (100.0, 200.0, 300.0):
        control.credit.each_second(now)
    assert control.heard == []


def test_periods_that_are_set_back_are_known_to_have_been_lent_of() -> None:
    standing = Standing(BudgetRow("budget_1", "a", "key", "key_1", 100, "none"))
    first = standing.pot(1762000000.0)
    standing.become(BudgetRow("budget_1", "a", "key", "key_1", 100, "day"))
    assert first.lowered and standing.pot(1762000000.0).known
    standing.become(BudgetRow("budget_1", "a", "key", "key_1", 100, "none"))
    again = standing.pot(1762000000.0)
    assert again.id == first.id and not again.known
    again.learn(30, 20)
    again.learn(0, 0)
    assert (again.granted, again.returned, again.spendable) == (30, 20, 0)
