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

from typing import Final, Literal

import msgspec
from msgspec.structs import astuple

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


class Worst(msgspec.Struct, frozen=True):
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
        return not (self.input or self.output or self.per_request)


class Tariff:
    """A price made ready for billing: `charge` runs over the lines that have a price of their own and no others."""

    __slots__ = ("_input", "_lines", "_output", "_per_request")

    def __init__(self, price: Price) -> None:
        self._input = price.input
        self._output = price.output
        self._per_request = half_up(price.per_request)
        rates = ((place, direction, getattr(price, name)) for place, direction, name in _DETAILS)
        self._lines: tuple[tuple[int, int, PicoDollars], ...] = tuple(line for line in rates if line[2] is not None)

    def charge(self, usage: Usage) -> NanoDollars:
        """The bill of one answer: each line rounded half-up once. Tokens with a price of their own leave their direction's plain line."""
        counts = astuple(usage)
        plain = [counts[0], counts[1]]
        total = self._per_request
        for place, direction, rate in self._lines:
            count = counts[place]
            if count:
                # Details are parts of the total; a provider that reports more detail than total is billed for the detail once.
                count = min(count, plain[direction])
                plain[direction] -= count
                total += half_up(rate * count)
        return total + half_up(self._input * plain[0]) + half_up(self._output * plain[1])


_FIELDS = Usage.__struct_fields__
# Place in a usage as a tuple, direction (0 input, 1 output), name of the rate: in the order in which details take their tokens.
_DETAILS = (
    *((_FIELDS.index(name), 0, name) for name in ("cache_read", "cache_write_5m", "cache_write_1h", "audio_in", "image_in")),
    *((_FIELDS.index(name), 1, name) for name in ("reasoning", "audio_out", "image_out")),
)


def charge(price: Price, usage: Usage) -> NanoDollars:
    """What `Tariff.charge` says, for those who price one answer at a time."""
    return Tariff(price).charge(usage)


def settle(
    ending: Ending, tariff: Tariff, hold: NanoDollars, *, reported: Usage | None, delivered: Usage, after_break: str = "nothing"
) -> Settlement:
    """The settlement table. `reported` is the upstream's own final usage, `delivered` our own count of input and output so far."""
    if ending == FAILED:
        return Settlement(0, 0, NOTHING, False)
    usage = delivered if reported is None else reported
    cost = tariff.charge(usage)
    if ending == UNUSABLE or (ending == BROKE and after_break == "nothing"):
        return Settlement(0, cost, usage, reported is None)
    if cost <= hold:
        return Settlement(cost, 0, usage, reported is None)
    return Settlement(hold, cost - hold, usage, reported is None)
