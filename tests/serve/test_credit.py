"""Leases at the relay: who waits, who goes, who is refused."""

from halley.errors import Condition, Refused
from halley.money import Price
from halley.policy.pricing import Worst
from halley.serve.credit import WAIT_S, Credit
from halley.serve.hold import Hold
from halley.serve.tables import Account
from halley.store.messages import FromRelay, Granted, LeaseReturned, LeaseState, LeaseWanted


class Request:
    """A request that waits for credit and holds it when it gets it; its price is one nano-dollar per token of output."""

    def __init__(self, account: Account, need: int, *, flexible: bool = False) -> None:
        self.account = account
        self.hold = Hold(account, Worst.of(Price(output=1000)), 0, need, 1, flexible=flexible)
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


class Control:
    def __init__(self) -> None:
        self.heard: list[FromRelay] = []
        self.now = 0.0
        self.up = True
        self.credit = Credit(self.hear, lambda: self.now)

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
