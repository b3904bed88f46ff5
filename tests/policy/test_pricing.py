"""What a request may cost and what it did cost: every unit of a price, in the charge and in the hold."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halley import pricelist
from halley.chat.usage import Usage
from halley.money import Price, Tier, rate_per_million
from halley.policy import pricing

PRICE = Price(rate_per_million("2.5"), rate_per_million("10"), cache_read=rate_per_million("1.25"), reasoning=rate_per_million("12"))
WORST = pricing.Worst.of(PRICE)
REPORT = Usage(1000, 500, cache_read=400, reasoning=100)
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
    assert pricing.is_free(Price())
    assert pricing.is_free(Price(cache_read=0))
    paid = (Price(input=1), Price(output=1), Price(per_request=1), Price(audio_out=1), Price(cache_write_5m=1), Price(per_second=1))
    for price in (*paid, Price(tools={"web_search": 1}), Price(tiers=(Tier(1, output=1),))):
        assert not pricing.is_free(price)


TIERED = pricelist.of(
    {
        "input": "1.25", "output": "10", "cache_read": "0.125",
        "tier": [{"above": 200_000, "input": "2.5", "output": "15", "cache_read": "0.25"}, {"above": 500_000, "input": "5"}],
        "service_tier": {"flex": "0.5", "priority": "1.75"},
        "tool": {"web_search": "0.01"},
        "per_second": "0.1", "per_image": "0.04", "per_character": "0.000015", "per_page": "0.001",
    }
)  # fmt: skip

TIERED_WORST = pricing.Worst.of(TIERED)
IMAGES = pricelist.of(
    {"per_image": "0.02", "image": {"1024x1024": "0.04", "1024x1024/high": "0.17", "1536x1024": "0.06"}, "vendor": {"credits": "0.01"}}
)


@pytest.mark.parametrize(
    ("usage", "charge", "unpriced"),
    [
        (Usage(images=3), 60, ()),
        (Usage(images=3, sizes={"1024x1024/high": 2}), 360, ()),
        (Usage(images=2, sizes={"1024x1024/low": 1, "1536x1024/high": 1}), 100, ()),
        (Usage(images=1, sizes={"512x512/low": 1}), 20, ()),
        (Usage(vendor={"credits": 7}), 70, ()),
        (Usage(vendor={"credits": 7, "tokens": 1}), 70, ("vendor.tokens",)),
        # More detail than total is billed for the detail once.
        (Usage(images=1, sizes={"1024x1024": 2}), 80, ()),
    ],
)
def test_images_are_billed_by_size_and_quality_and_vendors_by_their_units(usage: Usage, charge: int, unpriced: tuple[str, ...]) -> None:
    tariff = pricing.Tariff(IMAGES)
    assert tariff.charge(usage) == charge * 1_000_000 == sum(line.amount for line in tariff.lines(usage))
    assert tariff.unpriced(usage) == unpriced
    worst = pricing.Worst.of(IMAGES)
    assert worst.varied and worst.request(usage).hold(0, 0) >= charge * 1_000_000


def test_an_image_of_no_size_that_is_known_is_held_for_at_the_dearest_and_never_free() -> None:
    assert pricing.Worst.of(IMAGES).request(Usage(images=2)).hold(0, 0) == 340_000_000
    assert pricing.Worst.of(IMAGES).request(Usage(images=2, sizes={"1024x1024": 1})).hold(0, 0) == 210_000_000
    sized = pricelist.of({"image": {"1024x1024": "0.04"}})
    assert pricing.Tariff(sized).unpriced(Usage(images=1, sizes={"9x9": 1})) == ("image.9x9",)
    for price in (sized, pricelist.of({"vendor": {"credits": "1"}})):
        assert not pricing.is_free(price)
        assert not pricing.metered(price, ["tokens"])
    assert pricing.metered(sized, ["per_image"]) and not pricing.metered(sized, ["vendor"])
    assert pricing.metered(pricelist.of({"vendor": {"credits": "1"}}), ["vendor"])


def test_a_long_prompt_is_billed_at_the_rates_of_its_tier_for_all_its_tokens() -> None:
    tariff = pricing.Tariff(TIERED)
    assert tariff.charge(Usage(200_000, 10)) == 200_000 * 1250 + 10 * 10_000
    assert tariff.charge(Usage(200_001, 10)) == 200_001 * 2500 + 10 * 15_000
    assert tariff.charge(Usage(300_000, 10, cache_read=1000)) == 299_000 * 2500 + 1000 * 250 + 10 * 15_000
    # What a step does not price costs what it costs without steps.
    assert tariff.charge(Usage(500_001, 10)) == 500_001 * 5000 + 10 * 10_000


def test_the_tier_that_the_answer_names_multiplies_its_tokens_and_nothing_else() -> None:
    tariff = pricing.Tariff(TIERED)
    usage = Usage(1001, 10, tools={"web_search": 3})
    assert tariff.charge(usage) == 1001 * 1250 + 10 * 10_000 + 3 * 10_000_000
    flex = msgspec.structs.replace(usage, service_tier="flex")
    assert tariff.charge(flex) == 1001 * 625 + 10 * 5000 + 3 * 10_000_000
    unknown = msgspec.structs.replace(usage, service_tier="warp", tools={"web_search": 3, "time_travel": 1})
    assert tariff.charge(unknown) == tariff.charge(usage)
    assert tariff.unpriced(unknown) == ("tool.time_travel", "service_tier.warp")
    assert tariff.unpriced(flex) == ()


@pytest.mark.parametrize(
    ("usage", "charge"),
    [
        (Usage(images=3), 3 * 40_000_000),
        (Usage(milliseconds=1500), 150_000_000),
        (Usage(milliseconds=1), 100_000),
        (Usage(characters=7), 7 * 15_000),
        (Usage(pages=2), 2_000_000),
    ],
)
def test_what_is_no_token_has_a_line_of_its_own(usage: Usage, charge: int) -> None:
    assert pricing.Tariff(TIERED).charge(usage) == charge


def test_a_minute_is_billed_by_the_millisecond_and_rounded_once() -> None:
    tariff = pricing.Tariff(pricelist.of({"per_minute": "0.006"}))
    assert tariff.charge(Usage(milliseconds=60_000)) == 6_000_000
    assert tariff.charge(Usage(milliseconds=12_345)) == 1_234_500
    assert [(line.unit, line.count, line.per) for line in tariff.lines(Usage(milliseconds=1))] == [("per_minute", 1, 60_000)]


USAGES = st.builds(
    Usage,
    *(st.integers(0, 700_000) for _ in range(14)),
    tools=st.dictionaries(st.sampled_from(["web_search", "other"]), st.integers(0, 9)),
    service_tier=st.sampled_from(["", "flex", "priority", "warp"]),
)


@given(USAGES, st.sampled_from([PRICE, TIERED, Price(3, 7), Price(3, 7, per_request=1500)]))
def test_the_lines_of_a_bill_add_up_to_its_charge(usage: Usage, price: Price) -> None:
    tariff = pricing.Tariff(price)
    assert sum(line.amount for line in tariff.lines(usage)) == tariff.charge(usage)
    assert all(line.amount >= 0 and line.count > 0 for line in tariff.lines(usage))


@given(USAGES)
def test_the_worst_case_of_a_request_covers_every_answer_within_it(usage: Usage) -> None:
    most = msgspec.structs.replace(usage, tools={"web_search": 9, "other": 9})
    worst = TIERED_WORST.request(most, usage.service_tier)
    assert worst.hold(usage.input, usage.output) >= pricing.charge(TIERED, usage) - 16  # so many lines, each rounded up by less than one


def test_a_request_is_held_for_at_its_tier_and_at_no_other_that_is_dearer() -> None:
    prompt = Usage(1000)
    assert TIERED_WORST.request(prompt, "flex").output == 10_000_000
    assert TIERED_WORST.request(prompt, "unknown").output == 10_000_000
    assert TIERED_WORST.request(prompt, "priority").output == 17_500_000
    assert TIERED_WORST.request(prompt).output == 10_000_000


def test_an_exchange_that_counts_nothing_of_a_price_cannot_bill_by_it() -> None:
    assert pricing.metered(Price(), ())
    assert pricing.metered(PRICE, ["tokens"])
    assert pricing.metered(Price(per_request=1), ())
    by_time = pricelist.of({"per_second": "0.1"})
    assert pricing.metered(by_time, ["per_second"])
    assert not pricing.metered(by_time, ["tokens"])
