"""What a request may cost and what an answer did cost: a price made ready for billing, once per snapshot.

Pure: usage and price in, money out. `Tariff` is the bill, `Worst` the hold before it. Who pays when a request ends early is
`policy.settlement`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Final

import msgspec

from halley.chat.usage import Usage
from halley.money import NanoDollars, PicoDollars, Price, Tier, ceiling, half_up
from halley.pricelist import MILLION

_INPUTS: Final = ("cache_read", "cache_write_5m", "cache_write_1h", "audio_in", "image_in")
_OUTPUTS: Final = ("reasoning", "audio_out", "image_out")
# Key of the price, count of the usage, how many of what is counted make one unit.
_UNITS: Final = (
    ("per_image", "images", 1),
    ("per_second", "milliseconds", 1000),
    ("per_minute", "milliseconds", 60_000),
    ("per_character", "characters", 1),
    ("per_page", "pages", 1),
)


class Line(msgspec.Struct, frozen=True):
    """A line of a bill: `count` units at `rate` each; `unit` is the key of the price, `tool.NAME` for calls of a tool, `image.SIZE` and
    `vendor.NAME` likewise. What is counted in smaller pieces than it is priced has `per` of them in a unit."""

    unit: str
    count: int
    rate: PicoDollars
    amount: NanoDollars
    per: int = 1


class _Rates:
    """The token rates of one context length."""

    __slots__ = ("input", "lines", "output")

    def __init__(self, price: Price, tier: Tier | None = None) -> None:
        def rate(name: str) -> PicoDollars | None:
            own = None if tier is None else getattr(tier, name)
            return getattr(price, name) if own is None else own

        self.input = rate("input") or 0
        self.output = rate("output") or 0
        # In the order in which details take their tokens: place of the direction (0 input, 1 output), name, count, rate.
        self.lines: tuple[tuple[int, str, Callable[[Usage], int], PicoDollars], ...] = tuple(
            (direction, name, attrgetter(name), own)
            for direction, names in enumerate((_INPUTS, _OUTPUTS))
            for name in names
            if (own := rate(name)) is not None
        )

    @property
    def dearest(self) -> tuple[PicoDollars, PicoDollars]:
        """The highest rate that a token of the prompt, and one of the answer, can have."""
        inputs, outputs = ([rate for place, _, _, rate in self.lines if place == direction] for direction in (0, 1))
        return max(self.input, *inputs) if inputs else self.input, max(self.output, *outputs) if outputs else self.output


class Tariff:
    """A price made ready for billing: `charge` runs over the lines that have a price of their own and no others."""

    __slots__ = ("_base", "_by_tokens", "_factors", "_per_request", "_steps", "_tools", "_units", "price")

    def __init__(self, price: Price) -> None:
        self.price = price
        self._base = _Rates(price)
        self._per_request = half_up(price.per_request)
        self._steps = tuple((tier.above, _Rates(price, tier)) for tier in reversed(price.tiers))
        self._factors = price.service_tiers
        self._tools = price.tools
        self._units = tuple((key, attrgetter(count), per, getattr(price, key)) for key, count, per in _UNITS if getattr(price, key))
        self._by_tokens = not (self._steps or self._factors or self._tools or self._units or price.images or price.vendor)

    def charge(self, usage: Usage) -> NanoDollars:
        """The bill of one answer: each line rounded half-up once."""
        total = self._per_request
        if self._by_tokens:
            # Most prices; as `_counted`, without the lines.
            base, prompt, answer = self._base, usage.input, usage.output
            for direction, _, counted, rate in base.lines:
                count = counted(usage)
                if count:
                    if direction:
                        count = count if count < answer else answer
                        answer -= count
                    else:
                        count = count if count < prompt else prompt
                        prompt -= count
                    total += (rate * count + 500) // 1000
            return total + (base.input * prompt + 500) // 1000 + (base.output * answer + 500) // 1000
        for line in self._counted(usage):
            total += line[3]
        return total

    def lines(self, usage: Usage) -> tuple[Line, ...]:
        """The same, line by line; their amounts are the charge. Tokens with a price of their own leave their direction's plain line."""
        fixed = [("per_request", 1, self.price.per_request, self._per_request, 1)] if self._per_request else []
        return tuple(Line(*line) for line in (*fixed, *self._counted(usage)) if line[1])

    def unpriced(self, usage: Usage) -> tuple[str, ...]:
        """What the answer took and the price does not know: it was charged as if it were nothing, or of the ordinary tier."""
        unknown = [f"tool.{name}" for name in usage.tools if name not in self._tools] if usage.tools else []
        if usage.sizes and not self.price.per_image:
            unknown += [f"image.{name}" for name in usage.sizes if _image_rate(self.price, name) is None]
        if usage.images > sum((usage.sizes or {}).values()) and self.price.images and not self.price.per_image:
            unknown.append("image")
        if usage.vendor:
            unknown += [f"vendor.{name}" for name in usage.vendor if name not in self.price.vendor]
        if usage.service_tier and usage.service_tier not in self._factors:
            unknown.append(f"service_tier.{usage.service_tier}")
        return tuple(unknown)

    def _counted(self, usage: Usage) -> list[tuple[str, int, PicoDollars, NanoDollars, int]]:
        rates = self._base
        prompt = usage.input
        for above, step in self._steps:
            if prompt > above:
                rates = step
                break
        factor = self._factors.get(usage.service_tier, MILLION) if self._factors else MILLION
        plain = [prompt, usage.output]
        out: list[tuple[str, int, PicoDollars, NanoDollars, int]] = []
        for direction, name, counted, rate in rates.lines:
            count = counted(usage)
            if count:
                # Details are parts of the total; a provider that reports more detail than total is billed for the detail once.
                left = plain[direction]
                if count > left:
                    count = left
                plain[direction] = left - count
                out.append((name, count, rate, _times(rate * count, factor), 1))
        out.append(("input", plain[0], rates.input, _times(rates.input * plain[0], factor), 1))
        out.append(("output", plain[1], rates.output, _times(rates.output * plain[1], factor), 1))
        sized = 0
        for name, count in usage.sizes.items() if usage.sizes else ():
            own = _image_rate(self.price, name)
            if own is not None:
                sized += count
                out.append((f"image.{name}", count, own, half_up(own * count), 1))
        for key, counted, per, rate in self._units:
            count = counted(usage)
            if key == "per_image":
                # Sizes are parts of the total, as details of tokens are.
                count = max(count - sized, 0)
            out.append((key, count, rate, (rate * count + 500 * per) // (1000 * per), per))
        for name, count in usage.vendor.items() if usage.vendor else ():
            rate = self.price.vendor.get(name, 0)
            out.append((f"vendor.{name}", count, rate, half_up(rate * count), 1))
        if usage.tools:
            for name, count in usage.tools.items():
                rate = self._tools.get(name, 0)
                out.append((f"tool.{name}", count, rate, half_up(rate * count), 1))
        return out


def _times(pico: int, factor: int) -> NanoDollars:
    """Half up once, factor and all."""
    return (pico + 500) // 1000 if factor == MILLION else (pico * factor + 500 * MILLION) // (1000 * MILLION)


def _image_rate(price: Price, name: str) -> PicoDollars | None:
    """Of a size and quality, else of the size alone; None where neither is priced apart."""
    rate = price.images.get(name)
    return price.images.get(name.partition("/")[0]) if rate is None else rate


def uncounted(price: Price, usage: Usage) -> tuple[str, ...]:
    """Which of these units the price cannot count: nothing may be promised for them. What costs so much a request has the request whole,
    but for tools and units of the vendor; of a price of nothing everything is free."""
    if is_free(price):
        return ()
    missing = list(Tariff(price).unpriced(usage))
    if not price.per_request:
        missing += [] if by_tokens(price) else [name for name in ("input", "output") if getattr(usage, name)]
        units = {count: [key for key, its, _ in _UNITS if its == count] for _, count, _ in _UNITS}
        units["images"].append("images")  # those of a size
        missing += [count for count, keys in units.items() if getattr(usage, count) and not any(getattr(price, key) for key in keys)]
    return tuple(missing)


def charge(price: Price, usage: Usage) -> NanoDollars:
    """What `Tariff.charge` says, for those who price one answer at a time."""
    return Tariff(price).charge(usage)


class Worst(msgspec.Struct, frozen=True):
    """The dearest reading of every token of a price: what holds are computed from. `per_request` is what comes on top, however long it is.

    `varied` says that the worst case depends on the request; then `request` makes the one that does not.
    """

    input: PicoDollars
    output: PicoDollars
    per_request: PicoDollars
    steps: tuple[tuple[int, PicoDollars, PicoDollars], ...] = ()
    factors: dict[str, int] = {}
    tools: dict[str, PicoDollars] = {}
    units: tuple[tuple[str, int, PicoDollars], ...] = ()
    media: Price | None = None
    varied: bool = False

    @classmethod
    def of(cls, price: Price) -> Worst:
        steps = tuple((tier.above, *_Rates(price, tier).dearest) for tier in price.tiers)
        units = tuple((count, per, getattr(price, key)) for key, count, per in _UNITS if getattr(price, key) and key != "per_image")
        media = price if price.per_image or price.images or price.vendor else None
        varied = bool(steps or units or price.service_tiers or price.tools or media)
        return cls(*_Rates(price).dearest, price.per_request, steps, price.service_tiers, price.tools, units, media, varied)

    def request(self, most: Usage, service_tier: str = "") -> Worst:
        """The worst case of one request. `most` is the most that it can take of everything but its output; `service_tier` the one that it
        is for."""
        inputs, outputs = self.input, self.output
        for above, step_in, step_out in self.steps:
            if most.input > above:
                inputs, outputs = max(inputs, step_in), max(outputs, step_out)
        # A provider that does not honour a tier answers in the ordinary one, never in one that is dearer than what was asked for.
        factor = max(self.factors.get(service_tier, MILLION), MILLION)
        if factor > MILLION:
            inputs, outputs = -(-inputs * factor // MILLION), -(-outputs * factor // MILLION)
        beside = self.per_request
        for count, per, rate in self.units:
            beside += -(-rate * getattr(most, count) // per)
        for name, calls in most.tools.items():
            beside += self.tools.get(name, 0) * calls
        if self.media is not None and (most.images or most.vendor):
            beside += _media(self.media, most)
        return Worst(inputs, outputs, beside)

    def hold(self, input_tokens: int, output_tokens: int) -> NanoDollars:
        """Rounded up."""
        return ceiling(input_tokens * self.input + output_tokens * self.output + self.per_request)

    def affordable_output(self, input_tokens: int, credit: NanoDollars) -> int:
        """The largest output whose hold fits into `credit`."""
        left = credit * 1000 - input_tokens * self.input - self.per_request
        if left <= 0:
            return 0
        return left // self.output if self.output else 1 << 31


def _media(price: Price, most: Usage) -> PicoDollars:
    """Images at their size, or at the dearest of all where the request leaves it to the provider, and units of the vendor."""
    total = unsized = 0
    for name, count in most.sizes.items() if most.sizes else ():
        rate = _image_rate(price, name)
        total += count * (price.per_image if rate is None else rate)
        unsized -= count
    total += max(most.images + unsized, 0) * max(price.per_image, *price.images.values(), 0)
    return total + sum(price.vendor.get(name, 0) * count for name, count in (most.vendor or {}).items())


def is_free(price: Price) -> bool:
    """Whether nothing of it costs: only then may it be used without credit."""
    return not any(_all_rates(price))


def by_tokens(price: Price) -> bool:
    """Whether a token of it costs anything."""
    return any(rate for each in (price, *price.tiers) for rate in _token_rates(each))


def metered(price: Price, units: Iterable[str]) -> bool:
    """Whether an exchange that counts these units (`tokens`, `vendor`, keys of a price) can bill by it: it is free, or has such a rate."""
    counted = set(units)
    tokens = "tokens" in counted and by_tokens(price)
    named = ("per_image" in counted and any(price.images.values())) or ("vendor" in counted and any(price.vendor.values()))
    by_unit = any(getattr(price, key) for key, _, _ in _UNITS if key in counted)
    return is_free(price) or tokens or bool(price.per_request) or by_unit or named


def _token_rates(rates: Price | Tier) -> Iterable[PicoDollars]:
    return (getattr(rates, name) or 0 for name in ("input", "output", *_INPUTS, *_OUTPUTS))


def _all_rates(price: Price) -> Iterable[PicoDollars]:
    yield from (rate for each in (price, *price.tiers) for rate in _token_rates(each))
    yield price.per_request
    yield from (getattr(price, key) for key, _, _ in _UNITS)
    for named in (price.tools, price.images, price.vendor):
        yield from named.values()
