"""Who pays when a request ends: the one settlement table, for every ending, dialect and cancel rule.

Pure: the ending, what the upstream reported and what was delivered in, money out. It never knows in which dialect a report came.

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
where that is more. A charge never exceeds the hold: what is above it is operator loss. What the gateway or the upstream says beside the
answer (errors, heartbeats) is never counted as delivered; that is the meters' business.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from halley.chat.usage import Usage
from halley.money import NanoDollars
from halley.policy.pricing import Tariff

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
# The answer was read to its end.
WHOLE_ENDINGS: Final = frozenset({COMPLETE, UNREPORTED, DRAINED})

NOTHING = Usage()


class Settlement(msgspec.Struct, frozen=True):
    """The money side of one ending, nano-dollars. `usage` is what the charge was computed from, `worth` what it comes to at the price."""

    charge: NanoDollars
    loss: NanoDollars
    usage: Usage
    estimated: bool
    worth: NanoDollars = 0


def settle(
    ending: Ending, tariff: Tariff, hold: NanoDollars, *, reported: Usage | None, delivered: Usage, after_break: str = "nothing"
) -> Settlement:
    """The settlement table. `reported` is the upstream's own final usage, `delivered` our own count of input and output so far."""
    if ending == FAILED:
        return Settlement(0, 0, NOTHING, False)
    usage = delivered if reported is None else reported
    worth = tariff.charge(usage)
    charge, loss = shares(ending, worth, hold, after_break == "nothing")
    return Settlement(charge, loss, usage, reported is None, worth)


def shares(ending: Ending, worth: NanoDollars, hold: NanoDollars, broke_is_free: bool) -> tuple[NanoDollars, NanoDollars]:
    """What of an answer's worth the customer and what the operator pays."""
    if ending == FAILED:
        return 0, 0
    if ending == UNUSABLE or (ending == BROKE and broke_is_free):
        return 0, worth
    charge = min(worth, hold)
    # Of a relay that died nobody knows what its upstream went on to bill.
    return charge, 0 if ending in (CRASH, EXPIRED) else worth - charge


def counted(partial: Usage | None, input_guess: int, output: int) -> Usage:
    """Our own count: the prompt by its size, the output by what was delivered. A partial report knows the prompt; its output is taken only
    where it is more."""
    if partial is None:
        return Usage(input_guess, output)
    return msgspec.structs.replace(partial, input=partial.input or input_guess, output=max(partial.output, output))


def stops_at_hang_up(*, streams: bool, cancels: bool) -> bool:
    """Whether a client that leaves is worth a cancelled call: only a stream at a provider that stops its bill costs less for it. All else
    is read to its end in the background, within the caps."""
    return streams and cancels


def abandoned(*, sent: bool) -> Ending:
    """How a call ends that is stopped for a client that has gone; what never went upstream costs nobody anything."""
    return LEFT if sent else FAILED


def read_on(ending: Ending) -> Ending:
    """An answer that was read to its end for a client that had gone."""
    return DRAINED if ending in (COMPLETE, UNREPORTED) else ending
