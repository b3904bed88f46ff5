"""A price as it is written and as it is billed are the same price."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from halley import pricelist
from halley.money import Price, Tier
from halley.pricelist import PER_MILLION, PER_UNIT, Written

EVERYTHING = {
    **{name: f"1.{place + 1}" for place, name in enumerate(PER_MILLION)},
    **{name: f"0.0{place + 1}" for place, name in enumerate(PER_UNIT) if name != "per_minute"},
    "tool": {"web_search": "0.01", "file_search": "0.0025"},
    "tier": [{"above": 128_000, "input": "2"}, {"above": 256_000, "output": "3", "cache_read": "0.1"}],
    "service_tier": {"flex": "0.5", "priority": "1.75"},
    "image": {"1024x1024": "0.04", "1024x1024/high": "0.17"},
    "vendor": {"credits": "0.01"},
}


def test_every_key_of_a_price_is_read_and_written_again() -> None:
    price = pricelist.of(EVERYTHING)
    again = msgspec.to_builtins(pricelist.written(price))
    assert pricelist.of(again) == price
    assert set(again) == set(EVERYTHING)
    assert price.tiers == (Tier(128_000, input=2_000_000), Tier(256_000, output=3_000_000, cache_read=100_000))
    assert price.tools == {"file_search": 2_500_000_000, "web_search": 10_000_000_000}
    assert price.service_tiers == {"flex": 500_000, "priority": 1_750_000}
    assert price.images == {"1024x1024": 40_000_000_000, "1024x1024/high": 170_000_000_000}
    assert price.vendor == {"credits": 10_000_000_000}


def test_one_tier_may_stand_alone() -> None:
    assert pricelist.of({"tier": {"above": 5, "input": "1"}}) == pricelist.of({"tier": [{"above": 5, "input": "1"}]})


def test_a_price_version_names_exactly_its_rates() -> None:
    several = (Price(1, 2), Price(2, 1), Price(1, 2, 0), Price(1, 2, per_request=1), Price(1, 2, per_page=1), Price(1, 2, tools={"a": 1}))
    assert pricelist.version(Price(1, 2)) == pricelist.version(Price(1, 2))
    assert len({pricelist.version(price) for price in several}) == len(several)
    assert pricelist.version(Price(tools={"a": 1, "b": 2})) == pricelist.version(Price(tools={"b": 2, "a": 1}))


@pytest.mark.parametrize(
    "rates",
    [
        {"input": "cheap"}, {"input": "-1"}, {"colour": "1"}, {"input": "0.0000001"}, {"input": "NaN"}, {"per_page": "1e-13"},
        {"tool": {"x": "-1"}}, {"service_tier": {"flex": "half"}}, {"tier": [{"above": 5}, {"above": 5}]},
        {"per_minute": "1", "per_second": "1"}, {"image": {"1024x1024 high": "1"}}, {"image": {"A": "1", "a": "2"}},
        {"image": {"/high": "1"}}, {"image": {"a": "-1"}}, {"vendor": {"credits": "x"}},
    ],
)  # fmt: skip
def test_a_price_that_cannot_be_read_is_refused_with_its_key(rates: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(rates))):
        pricelist.of(rates)


def test_markup_is_rounded_half_up_per_rate_and_leaves_factors_alone() -> None:
    cost = Price(5, 15, tools={"a": 5}, tiers=(Tier(9, input=5),), service_tiers={"flex": 5}, images={"b": 15}, vendor={"c": 5})
    marked = pricelist.marked_up(cost, Decimal("1.1"))
    assert marked == Price(
        6, 17, tools={"a": 6}, tiers=(Tier(9, input=6),), service_tiers={"flex": 5}, images={"b": 17}, vendor={"c": 6}
    )  # fmt: skip


def test_a_price_says_what_it_prices() -> None:
    assert pricelist.NOTHING.keys == frozenset()
    assert Written(input="0", tool={"a": "1"}).keys == {"input", "tool"}
