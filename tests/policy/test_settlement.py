"""The settlement table: every ending, with every kind of report, and the cancel rules that lead to it."""

from __future__ import annotations

from typing import get_args

import pytest

from halley.chat.usage import Usage
from halley.money import Price, rate_per_million
from halley.policy import pricing, settlement
from halley.policy.settlement import BROKE, COMPLETE, CRASH, DRAINED, EXPIRED, FAILED, LEFT, UNREPORTED, UNUSABLE, Ending

PRICE = Price(rate_per_million("2.5"), rate_per_million("10"), cache_read=rate_per_million("1.25"), reasoning=rate_per_million("12"))
TARIFF = pricing.Tariff(PRICE)
REPORT = Usage(1000, 500, cache_read=400, reasoning=100)
COUNTED = Usage(900, 450)
HOLD = pricing.Worst.of(PRICE).hold(1000, 2000)
FULL = TARIFF.charge(REPORT)
OWN = TARIFF.charge(COUNTED)

# Ending, the report that came, what the operator chose for broken answers, and what customer and operator pay.
TABLE: tuple[tuple[Ending, Usage | None, str, int, int, bool], ...] = (
    (COMPLETE, REPORT, "nothing", FULL, 0, False),
    (COMPLETE, Usage(), "nothing", 0, 0, False),
    (UNREPORTED, None, "nothing", OWN, 0, True),
    (FAILED, None, "nothing", 0, 0, False),
    (FAILED, REPORT, "delivered", 0, 0, False),
    (UNUSABLE, REPORT, "delivered", 0, FULL, False),
    (UNUSABLE, None, "nothing", 0, OWN, True),
    (BROKE, None, "nothing", 0, OWN, True),
    (BROKE, REPORT, "nothing", 0, FULL, False),
    (BROKE, None, "delivered", OWN, 0, True),
    (BROKE, REPORT, "delivered", FULL, 0, False),
    (LEFT, None, "nothing", OWN, 0, True),
    (LEFT, REPORT, "nothing", FULL, 0, False),
    (DRAINED, REPORT, "nothing", FULL, 0, False),
    (DRAINED, None, "nothing", OWN, 0, True),
    (CRASH, None, "nothing", OWN, 0, True),
    (EXPIRED, None, "nothing", OWN, 0, True),
)


@pytest.mark.parametrize(("ending", "reported", "after_break", "charge", "loss", "estimated"), TABLE)
def test_the_settlement_table(ending: Ending, reported: Usage | None, after_break: str, charge: int, loss: int, estimated: bool) -> None:
    settled = settlement.settle(ending, TARIFF, HOLD, reported=reported, delivered=COUNTED, after_break=after_break)
    assert (settled.charge, settled.loss, settled.estimated) == (charge, loss, estimated)


def test_the_table_has_every_ending() -> None:
    assert {row[0] for row in TABLE} == set(get_args(Ending))


@pytest.mark.parametrize("ending", get_args(Ending))
def test_no_ending_charges_more_than_the_hold(ending: Ending) -> None:
    settled = settlement.settle(ending, TARIFF, 7, reported=REPORT, delivered=COUNTED, after_break="delivered")
    assert settled.charge <= 7
    assert settled.charge + settled.loss in (0, FULL) or (ending in (CRASH, EXPIRED) and settled.loss == 0)


@pytest.mark.parametrize(
    ("partial", "output", "counted"),
    [
        (None, 450, Usage(900, 450)),
        (Usage(1000, 1), 450, Usage(1000, 450)),
        (Usage(1000, 600, cache_read=400), 450, Usage(1000, 600, cache_read=400)),
        (Usage(0, 1), 450, Usage(900, 450)),
    ],
)
def test_a_partial_report_is_never_the_end_of_the_count(partial: Usage | None, output: int, counted: Usage) -> None:
    assert settlement.counted(partial, 900, output) == counted


@pytest.mark.parametrize(
    ("streams", "cancels", "stops"), [(True, True, True), (True, False, False), (False, True, False), (False, False, False)]
)
def test_only_a_stream_at_a_provider_that_stops_its_bill_is_cancelled(streams: bool, cancels: bool, stops: bool) -> None:
    assert settlement.stops_at_hang_up(streams=streams, cancels=cancels) is stops


def test_what_is_stopped_for_a_client_that_left_was_left_if_it_was_sent() -> None:
    assert (settlement.abandoned(sent=True), settlement.abandoned(sent=False)) == (LEFT, FAILED)


@pytest.mark.parametrize("ending", get_args(Ending))
def test_an_answer_that_is_read_on_for_nobody_is_drained_when_it_is_whole(ending: Ending) -> None:
    assert settlement.read_on(ending) == (DRAINED if ending in (COMPLETE, UNREPORTED) else ending)
