"""The breaker of one offer."""

from halley.policy.health import FAILURES_TO_OPEN, OPEN_S, Breaker


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES_TO_OPEN):
        assert breaker.allows(now)
        breaker.failed(now, 0.5)
    return breaker


def test_five_failures_in_a_row_open_it_and_a_success_between_does_not() -> None:
    breaker = Breaker()
    for _ in range(FAILURES_TO_OPEN - 1):
        breaker.failed(0.0, 0.5)
    breaker.succeeded()
    breaker.failed(0.0, 0.5)
    assert breaker.allows(0.0)
    assert not opened().allows(OPEN_S - 1)


def test_after_the_pause_one_probe_goes_and_the_others_wait_for_it() -> None:
    breaker = opened()
    assert breaker.allows(OPEN_S + 1)
    assert not breaker.allows(OPEN_S + 1)
    breaker.succeeded()
    assert breaker.allows(OPEN_S + 1)


def test_a_failed_probe_opens_it_for_longer() -> None:
    breaker = opened()
    assert breaker.allows(OPEN_S + 1)
    breaker.failed(OPEN_S + 1, 0.5)
    assert not breaker.allows(2 * OPEN_S)
    assert breaker.allows(OPEN_S + 1 + 2 * OPEN_S + 1)


def test_a_probe_that_never_reports_does_not_lock_the_offer_out() -> None:
    breaker = opened()
    assert breaker.allows(OPEN_S + 1)
    assert breaker.allows(OPEN_S + 12)


def test_a_rate_limit_cools_for_as_long_as_asked_within_reason() -> None:
    breaker = Breaker()
    breaker.cooled(0.0, 7.0)
    assert not breaker.allows(6.9)
    assert breaker.allows(7.0)
    breaker.cooled(10.0, 10_000.0)
    assert breaker.allows(71.0)
