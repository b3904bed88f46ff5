"""Prices, holds and the settlement table."""

from decimal import Decimal
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halley.chat.usage import Usage
from halley.money import Price, rate_per_million
from halley.policy import pricing
from halley.policy.pricing import Ending

PRICE = Price(rate_per_million("2.5"), rate_per_million("10"), cache_read=rate_per_million("1.25"), reasoning=rate_per_million("12"))
WORST = pricing.Worst.of(PRICE)
REPORT = Usage(1000, 500, cache_read=400, reasoning=100)
COUNTED = Usage(900, 450)
COUNTS = st.integers(0, 10**6)


def test_a_charge_prices_each_kind_of_token_once() -> None:
    lines = Decimal("2.5") * 600 + Decimal("1.25") * 400 + Decimal(10) * 400 + Decimal(12) * 100
    assert pricing.charge(PRICE, REPORT) == lines * 1000


def test_detail_that_exceeds_its_total_is_billed_once() -> None:
    assert pricing.charge(PRICE, Usage(100, 0, cache_read=400)) == 100 * 1250


def test_lines_are_rounded_half_up_once_each() -> None:
    tiny = Price(rate_per_million("0.0005"), rate_per_million("0.0005"))
    assert pricing.charge(tiny, Usage(1, 1)) == 2
    assert pricing.charge(tiny, Usage(0, 0)) == 0


@given(COUNTS, COUNTS, st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_hold_covers_every_reading_of_its_tokens(prompt: int, output: int, cached: int, reasoning: int) -> None:
    usage = Usage(prompt, output, cache_read=cached, reasoning=reasoning)
    assert WORST.hold(prompt, output) >= pricing.charge(PRICE, usage) - 4  # four lines, each rounded up by less than one


@given(COUNTS, st.integers(0, 10**12))
def test_affordable_output_is_the_most_that_fits(prompt: int, credit: int) -> None:
    most = WORST.affordable_output(prompt, credit)
    if most:
        assert WORST.hold(prompt, most) <= credit
        assert WORST.hold(prompt, most + 1) > credit


def test_the_worst_rate_is_the_highest_of_its_direction() -> None:
    price = Price(input=2, output=8, cache_read=1, cache_write_1h=4, audio_in=3, reasoning=9, image_out=7)
    assert pricing.Worst.of(price) == pricing.Worst(4, 9, 0)


def test_a_model_is_free_only_when_nothing_costs() -> None:
    assert pricing.Worst.of(Price()).free
    assert pricing.Worst.of(Price(cache_read=0)).free
    for paid in (Price(input=1), Price(output=1), Price(per_request=1), Price(audio_out=1), Price(cache_write_5m=1)):
        assert not pricing.Worst.of(paid).free


HOLD = WORST.hold(1000, 2000)
FULL = pricing.charge(PRICE, REPORT)
OWN = pricing.charge(PRICE, COUNTED)


@pytest.mark.parametrize(
    "ending, reported, after_break, charge, loss, estimated",
    [
        (pricing.COMPLETE, REPORT, "nothing", FULL, 0, False),
        (pricing.COMPLETE, Usage(), "nothing", 0, 0, False),
        (pricing.UNREPORTED, None, "nothing", OWN, 0, True),
        (pricing.FAILED, None, "nothing", 0, 0, False),
        (pricing.FAILED, REPORT, "delivered", 0, 0, False),
        (pricing.UNUSABLE, REPORT, "delivered", 0, FULL, False),
        (pricing.BROKE, None, "nothing", 0, OWN, True),
        (pricing.BROKE, None, "delivered", OWN, 0, True),
        (pricing.BROKE, REPORT, "delivered", FULL, 0, False),
        (pricing.LEFT, None, "nothing", OWN, 0, True),
        (pricing.LEFT, REPORT, "nothing", FULL, 0, False),
        (pricing.DRAINED, REPORT, "nothing", FULL, 0, False),
        (pricing.DRAINED, None, "nothing", OWN, 0, True),
    ],
)
def test_the_settlement_table(ending: Ending, reported: Usage | None, after_break: str, charge: int, loss: int, estimated: bool) -> None:
    settled = pricing.settle(ending, pricing.Tariff(PRICE), HOLD, reported=reported, delivered=COUNTED, after_break=after_break)
    assert (settled.charge, settled.loss, settled.estimated) == (charge, loss, estimated)


@pytest.mark.parametrize("ending", get_args(Ending))
def test_no_ending_charges_more_than_the_hold(ending: Ending) -> None:
    settled = pricing.settle(ending, pricing.Tariff(PRICE), 7, reported=REPORT, delivered=COUNTED, after_break="delivered")
    assert settled.charge <= 7
    assert settled.charge + settled.loss in (0, FULL)
