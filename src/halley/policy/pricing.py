"""What a request may cost, what it did cost, and who pays when it ends early: the one settlement table.

Pure: usage, price and ending in, money out. The table is `settle`; every dialect and every way to end goes through it.

| ending | the customer pays |
|---|---|
| complete | the reported usage (zero counts as zero) |
| unreported | own count of input and delivered output, marked estimated |
| failed | nothing: the upstream failed or refused before any output |
| unusable | nothing: a whole answer that cannot be passed on; its cost is operator loss |
| broke | nothing, or the delivered part when `after_break = "delivered"`; what was delivered is operator loss |
| left | the final usage if it came, else input and delivered output |
| drained | the full report of an upstream that could not be cancelled; without one, as `left` |
| crash | the last progress record; the rest is operator loss |
| expired | as crash: the hold was open past its deadline, and its relay said no more |

A report that came while the answer was still growing is partial: it is no final usage, but the own count takes its input, and its output
where that is more. A charge never exceeds the hold: what is above it is operator loss.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import msgspec

from halley.chat.usage import Usage
from halley.money import NanoDollars, PicoDollars, Price, ceiling, half_up

# Plain strings: an enum's member look-up costs 0.2 µs each time on the reference interpreter, and this is the path of every request.
Ending = Literal["complete", "unreported", "failed", "unusable", "broke", "left", "drained", "crash", "expired"]
COMPLETE: Final = "complete"
UNREPORTED: Final = "unreported"
FAILED: Final = "failed"
UNUSABLE: Final = "unusable"
BROKE: Final = "broke"
LEFT: Final = "left"
DRAINED: Final = "drained"
CRASH: Final = "crash"
EXPIRED: Final = "expired"


class Settlement(msgspec.Struct, frozen=True):
    """The money side of one ending, nano-dollars. `usage` is what the charge was computed from."""

    charge: NanoDollars
    loss: NanoDollars
    usage: Usage
    estimated: bool


NOTHING = Usage()


class Worst(NamedTuple):
    """The dearest reading of every token of a price: what holds are computed from."""

    input: PicoDollars
    output: PicoDollars
    per_request: PicoDollars

    @classmethod
    def of(cls, price: Price) -> Worst:
        inputs = (price.input, price.cache_read, price.cache_write_5m, price.cache_write_1h, price.audio_in, price.image_in)
        outputs = (price.output, price.reasoning, price.audio_out, price.image_out)
        return cls(max(rate or 0 for rate in inputs), max(rate or 0 for rate in outputs), price.per_request)

    def hold(self, input_tokens: int, output_tokens: int) -> NanoDollars:
        """Rounded up."""
        return ceiling(input_tokens * self.input + output_tokens * self.output + self.per_request)

    def affordable_output(self, input_tokens: int, credit: NanoDollars) -> int:
        """The largest output whose hold fits into `credit`."""
        left = credit * 1000 - input_tokens * self.input - self.per_request
        if left <= 0:
            return 0
        return left // self.output if self.output else 1 << 31

    @property
    def free(self) -> bool:
        return not any(self)


def charge(price: Price, usage: Usage) -> NanoDollars:
    """The bill of one answer: each line rounded half-up once. Tokens with a price of their own leave their direction's plain line."""
    total = _lines(
        price.input,
        usage.input,
        (price.cache_read, usage.cache_read),
        (price.cache_write_5m, usage.cache_write_5m),
        (price.cache_write_1h, usage.cache_write_1h),
        (price.audio_in, usage.audio_in),
        (price.image_in, usage.image_in),
    )
    total += _lines(
        price.output,
        usage.output,
        (price.reasoning, usage.reasoning),
        (price.audio_out, usage.audio_out),
        (price.image_out, usage.image_out),
    )
    if price.per_request:
        total += half_up(price.per_request)
    return total


def _lines(plain: PicoDollars, tokens: int, *parts: tuple[PicoDollars | None, int]) -> NanoDollars:
    total = 0
    for rate, count in parts:
        if count and rate is not None:
            # Details are parts of the total; a provider that reports more detail than total is billed for the detail once.
            count = min(count, tokens)
            total += half_up(rate * count)
            tokens -= count
    return total + half_up(plain * tokens)


def settle(
    ending: Ending, price: Price, hold: NanoDollars, *, reported: Usage | None, delivered: Usage, after_break: str = "nothing"
) -> Settlement:
    """The settlement table. `reported` is the upstream's own final usage, `delivered` our own count of input and output so far."""
    if ending == FAILED:
        return Settlement(0, 0, NOTHING, False)
    usage = delivered if reported is None else reported
    cost = charge(price, usage)
    if ending == UNUSABLE or (ending == BROKE and after_break == "nothing"):
        return Settlement(0, cost, usage, reported is None)
    paid = min(cost, hold)
    return Settlement(paid, cost - paid, usage, reported is None)
