"""What money costs a request stays within what was promised, beside a fixed reference loop in the same run."""

from __future__ import annotations

import pytest

from bench import money
from bench.canned import Wrong
from halley.policy.settlement import FAILED
from tests.harness.timing import timed

SLACK = 1.3
TRIES = 20


@timed
def test_admission_hold_and_settlement_cost_no_more_than_was_promised() -> None:
    """The least of a few short runs: a shared host only ever makes them worse."""
    least = money.LIMIT_US * 100
    for _ in range(TRIES):
        least = min(least, money.measure(batches=15).on_reference_us)
        if least <= money.LIMIT_US * SLACK:
            break
    assert least <= money.LIMIT_US * SLACK


def test_a_run_in_which_nothing_was_charged_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(money, "COMPLETE", FAILED)
    with pytest.raises(Wrong, match="the lease is"):
        money.measure(batches=1)
