"""Integer nano-dollars, prices and charges, and the only rounding rule.

A rate is an integer of pico-dollars per unit, so that every published price is exact: 1 USD per million tokens is 1,000,000 pico-dollars
per token. A charge line is rounded half-up to nano-dollars once; a hold is rounded up; a balance is shown rounded down. No float comes
near money: what a price list writes is read as a decimal string.
"""

from __future__ import annotations

import re
from decimal import Decimal, localcontext

import msgspec

NanoDollars = int
PicoDollars = int  # 1000 of them are a nano-dollar

NANO = 1_000_000_000
QUOTA = 500_000
NANO_PER_QUOTA = NANO // QUOTA
_MAX_USD = Decimal(10) ** 9
_DECIMAL = re.compile(r"[+-]?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,2})?")


def half_up(pico: int) -> NanoDollars:
    """Pico-dollars to nano-dollars, halves up (away from zero for a negative correction)."""
    if pico < 0:
        return -half_up(-pico)
    return (pico + 500) // 1000


def ceiling(pico: int) -> NanoDollars:
    """Pico-dollars to nano-dollars, rounded up: what a hold must cover."""
    return -(-pico // 1000)


def usd(text: str) -> NanoDollars:
    """Dollars as a decimal string to nano-dollars. Raises ValueError on anything that is not an exact, finite, sane amount."""
    return _scaled(text, 9, "nano-dollars")


def rate_per_million(text: str) -> PicoDollars:
    """A published price in USD per million units to pico-dollars per unit, exactly. Raises ValueError."""
    return _scaled(text, 6, "pico-dollars per unit")


def rate_per_unit(text: str) -> PicoDollars:
    """A published price in USD per single unit (request, image, second) to pico-dollars. Raises ValueError."""
    return _scaled(text, 12, "pico-dollars")


def _scaled(text: str, digits: int, unit: str) -> int:
    # Decimal alone would read blanks, underscores and the digits of every script.
    if not _DECIMAL.fullmatch(text):
        raise ValueError(f"{text!r} is not a decimal number")
    amount = Decimal(text)
    if abs(amount) > _MAX_USD:
        raise ValueError(f"{text!r} is out of range")
    with localcontext() as context:
        context.prec = 60
        scaled = amount.scaleb(digits)
        if scaled != scaled.to_integral_value():
            raise ValueError(f"{text!r} is finer than whole {unit}")
        return int(scaled)


def quota_units(amount: NanoDollars) -> int:
    """In the units in which CometAPI counts, 500,000 a dollar; rounded down."""
    return amount * QUOTA // NANO


def show(amount: NanoDollars) -> str:
    """Dollars for a person: at least two decimals, at most nine, no trailing zeros beyond cents."""
    return _shown(amount, 9)


def show_rate_per_million(rate: PicoDollars) -> str:
    """A rate per unit as a price list writes it, in USD per million units."""
    return _shown(rate, 6)


def show_rate_per_unit(rate: PicoDollars) -> str:
    """A rate per unit in USD."""
    return _shown(rate, 12)


def _shown(amount: int, digits: int) -> str:
    sign = "-" if amount < 0 else ""
    whole, fraction = divmod(abs(amount), 10**digits)
    decimals = f"{fraction:0{digits}d}".rstrip("0").ljust(2, "0")
    return f"{sign}{whole}.{decimals}"


class Tier(msgspec.Struct, frozen=True, omit_defaults=True):
    """Other rates per token for a request whose prompt has more than `above` tokens: for all of its tokens. None: as below."""

    above: int
    input: PicoDollars | None = None
    output: PicoDollars | None = None
    cache_read: PicoDollars | None = None
    cache_write_5m: PicoDollars | None = None
    cache_write_1h: PicoDollars | None = None
    reasoning: PicoDollars | None = None
    audio_in: PicoDollars | None = None
    audio_out: PicoDollars | None = None
    image_in: PicoDollars | None = None
    image_out: PicoDollars | None = None


class Price(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one model costs. Every rate is in pico-dollars per unit (token, unless its name says otherwise); None means not priced apart.

    An absent cache or reasoning or audio or image rate falls back to the plain rate of its direction. `tools` are rates per call of a tool
    that the provider runs; `service_tiers` are factors in millionths, by which the tokens of an answer of that tier are multiplied.
    `images` are rates of images of a size and quality (`1024x1024/high`, or the size alone), `vendor` of units that a vendor counts in.
    """

    input: PicoDollars = 0
    output: PicoDollars = 0
    cache_read: PicoDollars | None = None
    cache_write_5m: PicoDollars | None = None
    cache_write_1h: PicoDollars | None = None
    reasoning: PicoDollars | None = None
    audio_in: PicoDollars | None = None
    audio_out: PicoDollars | None = None
    image_in: PicoDollars | None = None
    image_out: PicoDollars | None = None
    per_request: PicoDollars = 0
    per_image: PicoDollars = 0
    per_second: PicoDollars = 0
    per_minute: PicoDollars = 0
    per_character: PicoDollars = 0
    per_page: PicoDollars = 0
    tools: dict[str, PicoDollars] = {}
    tiers: tuple[Tier, ...] = ()
    service_tiers: dict[str, int] = {}
    images: dict[str, PicoDollars] = {}
    vendor: dict[str, PicoDollars] = {}
