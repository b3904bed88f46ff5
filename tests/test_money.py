"""Exact integers: what is read, rounded and shown loses nothing that anybody could miss."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halley import money


@given(st.integers(0, 10**24))
def test_a_charge_is_rounded_half_up(pico: int) -> None:
    assert money.half_up(pico) == int((Decimal(pico) / 1000).quantize(Decimal(1), ROUND_HALF_UP, context=None)) if pico < 10**20 else True
    assert abs(money.half_up(pico) * 1000 - pico) <= 500
    assert money.half_up(-pico) == -money.half_up(pico)


@given(st.integers(0, 10**20))
def test_a_hold_is_rounded_up_and_covers_the_charge(pico: int) -> None:
    assert money.ceiling(pico) == int((Decimal(pico) / 1000).to_integral_value(ROUND_CEILING))
    assert money.ceiling(pico) >= money.half_up(pico)


def test_halves_go_up() -> None:
    assert [money.half_up(pico) for pico in (499, 500, 1499, 1500, -500)] == [0, 1, 1, 2, -1]


@pytest.mark.parametrize(
    ("text", "nano"),
    [("1", 10**9), ("0.000000001", 1), ("-2.5", -2_500_000_000), ("1e3", 10**12), ("1000000000", 10**18), ("0.10", 10**8), ("-0", 0)],
)
def test_dollars_are_read_exactly(text: str, nano: int) -> None:
    assert money.usd(text) == nano


@pytest.mark.parametrize(
    "text",
    ["", "x", "1,5", "nan", "inf", "-inf", "1e12", "0.0000000001", "1.0000000001", "$1", "1_0", " 10 ", "10\n", "٣", "1.", ".5", "1e999"],
)
def test_what_is_no_exact_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        money.usd(text)


def test_published_prices_are_whole_pico_dollars_per_unit() -> None:
    assert money.rate_per_million("1") == 1_000_000
    assert money.rate_per_million("0.15") == 150_000
    assert money.rate_per_million("0.000001") == 1
    assert money.rate_per_unit("0.04") == 40_000_000_000
    with pytest.raises(ValueError, match="finer than whole pico-dollars per unit"):
        money.rate_per_million("0.0000001")


@given(st.integers(-(10**18), 10**18))
def test_what_is_shown_reads_back_as_the_same_amount(nano: int) -> None:
    shown = money.show(nano)
    assert money.usd(shown) == nano
    assert len(shown.split(".")[1]) >= 2
    assert shown.startswith("-") == (nano < 0)


def test_amounts_are_shown_in_cents_at_least() -> None:
    assert [money.show(nano) for nano in (0, 10**9, 1, 1_500_000_000, -1)] == ["0.00", "1.00", "0.000000001", "1.50", "-0.000000001"]


def test_rates_are_shown_as_price_lists_write_them_and_read_back_the_same() -> None:
    for text in ("1.00", "0.15", "0.000001", "12.345678"):
        assert money.show_rate_per_million(money.rate_per_million(text)) == text
    for text in ("0.04", "0.000000000001", "3.10"):
        assert money.show_rate_per_unit(money.rate_per_unit(text)) == text
