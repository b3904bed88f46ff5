"""When the periods of a budget begin and end, to the second."""

from datetime import UTC, datetime

import pytest

from halley.money import NANO
from halley.policy.budgets import BudgetRow, Period, described, period, read_reset


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("reset", "anchor", "now", "start", "until"),
    [
        ("day", None, "2026-11-26T00:00:00", "2026-11-26", "2026-11-27"),
        ("day", None, "2026-11-26T23:59:59", "2026-11-26", "2026-11-27"),
        ("day", "2026-01-01T06:30:00", "2026-11-26T06:29:59", "2026-11-25T06:30:00", "2026-11-26T06:30:00"),
        ("week", None, "2026-11-23T00:00:00", "2026-11-23", "2026-11-30"),
        ("week", None, "2026-11-22T23:59:59", "2026-11-16", "2026-11-23"),
        ("week", "2026-11-26", "2026-12-03T00:00:00", "2026-12-03", "2026-12-10"),
        ("month", None, "2026-12-01T00:00:00", "2026-12-01", "2027-01-01"),
        ("month", None, "2026-11-30T23:59:59", "2026-11-01", "2026-12-01"),
        ("month", None, "2028-02-29T12:00:00", "2028-02-01", "2028-03-01"),
        ("month", "2026-01-31", "2027-02-28T00:00:00", "2027-02-28", "2027-03-31"),
        ("month", "2026-01-31", "2027-02-27T23:59:59", "2027-01-31", "2027-02-28"),
        ("month", "2026-01-15T09:00:00", "2026-12-15T08:59:59", "2026-11-15T09:00:00", "2026-12-15T09:00:00"),
        ("6h", None, "2026-11-26T05:59:59", "2026-11-26", "2026-11-26T06:00:00"),
        ("30d", "2026-11-01", "2026-12-01T00:00:00", "2026-12-01", "2026-12-31"),
        ("30d", "2026-11-01", "2026-10-31T23:59:59", "2026-10-02", "2026-11-01"),
    ],
)
def test_a_period_begins_and_ends_to_the_second(reset: str, anchor: str | None, now: str, start: str, until: str) -> None:
    assert period(reset, None if anchor is None else at(anchor), at(now)) == Period(at(start), at(until))


@pytest.mark.parametrize("reset", ["day", "week", "month", "1h", "7h", "30d"])
@pytest.mark.parametrize("anchor", [None, "2026-01-31T13:07:11"])
def test_periods_follow_each_other_without_a_gap(reset: str, anchor: str | None) -> None:
    since = None if anchor is None else at(anchor)
    now = period(reset, since, at("2026-11-26T12:00:00"))
    for _ in range(40):
        assert now.until is not None
        after = period(reset, since, now.until)
        assert after.start == now.until
        assert period(reset, since, now.until - 0.001) == now
        now = after


def test_a_budget_without_a_reset_has_one_period() -> None:
    assert period("none", None, 0.0) == period("none", 5, 4e9) == Period(0, None)


def test_resets_are_read_and_others_are_refused_with_those_that_there_are() -> None:
    assert [read_reset(text) for text in ("", " Month ", "30D", "none")] == ["none", "month", "30d", "none"]
    for text in ("monthly", "0d", "1.5h", "-1d", "100000d", "5m", "٣d"):
        with pytest.raises(ValueError, match="week, month"):
            read_reset(text)


def test_a_budget_says_whose_it_is_and_how_much() -> None:
    key = BudgetRow("budget_1", "acme", "key", "key_1", 5 * NANO // 2, "month")
    assert described(key) == 'the budget of key "key_1" (2.50 USD a month)'
    users = BudgetRow("budget_2", "acme", "user", "", NANO, "6h")
    assert described(users, "ada") == 'the budget of end user "ada" (1.00 USD every 6h)'
    assert described(users) == "the budget of requests that name no end user (1.00 USD every 6h)"
