"""How a price list writes a price, and what it means: decimal strings by the names that an operator knows, exact integers for billing.

Pure. Every key of a price stands here once, with its unit; who reads a file, a catalogue or a stored price goes through `read`, and who
shows one through `written`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from halley.money import PicoDollars, Price, Tier, rate_per_million, rate_per_unit, show_rate_per_million, show_rate_per_unit

PER_MILLION: Final = (
    "input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "reasoning", "audio_in", "audio_out", "image_in", "image_out",
)  # fmt: skip
PER_UNIT: Final = ("per_request", "per_image", "per_second", "per_minute", "per_character", "per_page")
BY_NAME: Final = ("image", "vendor")
MILLION: Final = 1_000_000
_IMAGE = re.compile(r"[a-z0-9][a-z0-9.:_-]*(/[a-z0-9][a-z0-9._-]*)?")

_Reading = Callable[[str], int]
_Showing = Callable[[int], str]

Rate = Annotated[str, Meta(extra={"spelling": "price"})]
UnitRate = Annotated[str, Meta(extra={"spelling": "unit_price"})]
Factor = Annotated[str, Meta(extra={"spelling": "factor"})]


class TokenRates(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """USD per million tokens of each kind."""

    input: Rate | None = None
    output: Rate | None = None
    cache_read: Rate | None = None
    cache_write_5m: Rate | None = None
    cache_write_1h: Rate | None = None
    reasoning: Rate | None = None
    audio_in: Rate | None = None
    audio_out: Rate | None = None
    image_in: Rate | None = None
    image_out: Rate | None = None


class Step(TokenRates, frozen=True, kw_only=True):
    """Rates of requests with more than `above` tokens of prompt."""

    above: Annotated[int, Meta(ge=1)]


class Written(TokenRates, frozen=True):
    """A price as it is written: USD per million tokens, or per unit where the name says `per_`, as decimal strings. `tool` is USD per call,
    `tier` one step or several, `service_tier` a factor for all tokens of an answer of that tier; `image` is USD per image of a size
    (`1024x1024`) or of a size and quality (`1024x1024/high`), `vendor` per unit that a vendor counts in, by its name."""

    per_request: UnitRate | None = None
    per_image: UnitRate | None = None
    per_second: UnitRate | None = None
    per_minute: UnitRate | None = None
    per_character: UnitRate | None = None
    per_page: UnitRate | None = None
    tool: dict[str, UnitRate] = {}
    tier: Step | tuple[Step, ...] = ()
    service_tier: dict[str, Factor] = {}
    image: dict[str, UnitRate] = {}
    vendor: dict[str, UnitRate] = {}

    @property
    def keys(self) -> frozenset[str]:
        """What is priced."""
        return frozenset(name for name in self.__struct_fields__ if getattr(self, name) not in (None, {}, ()))


NOTHING: Final = Written()


def read(rates: Written) -> Price:
    """Rates as written in a price list to exact integers. Raises ValueError naming the key."""
    if rates.per_second is not None and rates.per_minute is not None:
        raise ValueError("per_minute: the same time is priced by per_second already")
    found: dict[str, object] = {**_rates(rates, PER_MILLION, rate_per_million), **_rates(rates, PER_UNIT, rate_per_unit)}
    found["tools"] = _by_name("tool", rates.tool)
    found["images"] = _by_name("image", {image_name(name): text for name, text in rates.image.items()})
    if len(rates.image) != len(found["images"]):
        raise ValueError("image: the same size and quality stands there twice")
    found["vendor"] = _by_name("vendor", rates.vendor)
    steps = rates.tier if isinstance(rates.tier, tuple) else (rates.tier,)
    tiers = [Tier(step.above, **_rates(step, PER_MILLION, rate_per_million, "tier.")) for step in steps]
    found["tiers"] = tuple(sorted(tiers, key=lambda tier: tier.above))
    if len({tier.above for tier in tiers}) < len(tiers):
        raise ValueError("tier: two steps begin above the same number of tokens")
    found["service_tiers"] = {name.lower(): factor(f"service_tier.{name}", rates.service_tier[name]) for name in sorted(rates.service_tier)}
    return msgspec.convert(found, Price)


def image_name(size: str) -> str:
    """Size and quality as a price has them. Raises ValueError."""
    name = size.strip().lower()
    if not _IMAGE.fullmatch(name):
        raise ValueError(f'image.{size}: write a size, and a quality if it matters, such as "1024x1024" or "1024x1024/high"')
    return name


def _by_name(key: str, texts: Mapping[str, str]) -> dict[str, PicoDollars]:
    return {name: _read(f"{key}.{name}", texts[name], rate_per_unit) for name in sorted(texts)}


def factor(key: str, text: str) -> int:
    """A factor in millionths. Raises ValueError."""
    return _read(key, text, rate_per_million)


def _rates(rates: msgspec.Struct, names: Iterable[str], reading: _Reading, prefix: str = "") -> dict[str, PicoDollars]:
    return {name: _read(prefix + name, text, reading) for name in names if (text := getattr(rates, name)) is not None}


def _read(key: str, text: str, reading: _Reading) -> int:
    try:
        rate = reading(text)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None
    if rate < 0:
        raise ValueError(f"{key}: a price is not negative")
    return rate


def of(rates: Mapping[str, object]) -> Price:
    """As `read`, of a table that was parsed elsewhere. Raises ValueError, for an unknown key also."""
    try:
        return read(msgspec.convert(rates, Written))
    except msgspec.ValidationError as error:
        raise ValueError(f"not a price: {error}; known: {', '.join(Written.__struct_fields__)}") from None


def written(price: Price) -> Written:
    """A price as a list would write it: what `read` makes this price of again."""
    steps = tuple(Step(above=tier.above, **_shown(tier, PER_MILLION, show_rate_per_million)) for tier in price.tiers)
    units = {name: text for name, text in _shown(price, PER_UNIT, show_rate_per_unit).items() if getattr(price, name)}
    return Written(
        **_shown(price, PER_MILLION, show_rate_per_million),
        **units,
        tool={name: show_rate_per_unit(rate) for name, rate in price.tools.items()},
        tier=steps[0] if len(steps) == 1 else steps,
        service_tier={name: show_rate_per_million(millionths) for name, millionths in price.service_tiers.items()},
        image={name: show_rate_per_unit(rate) for name, rate in price.images.items()},
        vendor={name: show_rate_per_unit(rate) for name, rate in price.vendor.items()},
    )


def _shown(rates: msgspec.Struct, names: Iterable[str], show: _Showing) -> dict[str, str]:
    return {name: show(rate) for name in names if (rate := getattr(rates, name)) is not None}


def version(price: Price) -> str:
    """The name of exactly these rates."""
    return "price_" + hashlib.sha256(msgspec.json.encode(price, order="deterministic")).hexdigest()[:16]


def marked_up(cost: Price, markup: Decimal) -> Price:
    """Every rate times the markup, rounded half up; factors stay."""

    def times(rate: PicoDollars) -> PicoDollars:
        return int((rate * markup).to_integral_value(ROUND_HALF_UP))

    def all_of(rates: Price | Tier, names: Iterable[str]) -> dict[str, PicoDollars | None]:
        return {name: None if (rate := getattr(rates, name)) is None else times(rate) for name in names}

    def named(rates: Mapping[str, PicoDollars]) -> dict[str, PicoDollars]:
        return {name: times(rate) for name, rate in rates.items()}

    return msgspec.structs.replace(
        cost,
        **all_of(cost, (*PER_MILLION, *PER_UNIT)),
        tools=named(cost.tools),
        images=named(cost.images),
        vendor=named(cost.vendor),
        tiers=tuple(msgspec.structs.replace(tier, **all_of(tier, PER_MILLION)) for tier in cost.tiers),
    )
