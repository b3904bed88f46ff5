"""Requests, tokens and concurrency of one key."""

import pytest

from halley.policy.limits import Limits


def test_requests_of_a_minute_may_come_at_once_and_the_wait_is_enough() -> None:
    limits = Limits(6, None, None)
    assert [limits.take(1, 100.0) for _ in range(6)] == [None] * 6
    over = limits.take(1, 100.0)
    assert over == ("requests per minute", pytest.approx(10.0))
    assert limits.take(1, 100.0 + over[1] - 0.1) is not None
    assert limits.take(1, 100.0 + over[1]) is None


def test_tokens_are_taken_by_estimate_and_corrected_by_use() -> None:
    limits = Limits(None, 1000, None)
    assert limits.take(900, 0.0) is None
    assert limits.take(200, 0.0) is not None
    limits.give_back(900, 100, 0.0)
    assert limits.take(800, 0.0) is None


def test_a_request_larger_than_the_whole_bucket_waits_for_a_full_one_and_then_passes() -> None:
    limits = Limits(None, 1000, None)
    assert limits.take(5000, 0.0) is None
    over = limits.take(5000, 0.0)
    assert over is not None
    assert over[1] == pytest.approx(300.0)
    assert limits.take(5000, over[1]) is None


def test_concurrency_frees_a_place_when_a_request_ends() -> None:
    limits = Limits(None, None, 2)
    assert limits.take(1, 0.0) is None
    assert limits.take(1, 0.0) is None
    assert limits.take(1, 0.0) == ("concurrent requests", 1.0)
    limits.give_back(1, 1, 0.0)
    assert limits.take(1, 0.0) is None


def test_a_refused_request_takes_from_no_bucket() -> None:
    limits = Limits(10, 100, None)
    limits.take(100, 0.0)
    for _ in range(50):
        assert limits.take(50, 0.0) is not None
    limits.give_back(100, 0, 0.0)
    assert sum(limits.take(1, 0.0) is None for _ in range(20)) == 9


def test_admitted_in_a_minute_is_the_limit_plus_the_burst() -> None:
    limits = Limits(60, None, None)
    admitted = sum(limits.take(1, tick / 10) is None for tick in range(600))
    assert 118 <= admitted <= 120


def test_a_report_beyond_belief_closes_the_key_for_two_minutes_at_most() -> None:
    limits = Limits(None, 100, None)
    limits.take(10, 0.0)
    limits.give_back(10, 10**18, 0.0)
    refused = limits.take(10, 0.0)
    assert refused is not None
    assert refused[1] <= 120.0
    assert limits.take(10, 121.0) is None
