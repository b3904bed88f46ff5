"""Mixed traffic for tests that kill: answers of every kind, whole and streamed, and what can be said of a client's end of them."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections.abc import Mapping, Sequence

from tests.harness.crowd import Crowd, Member
from tests.harness.priced import encoded

QUICK = "sim/tokens-5"
SLOW = "sim/tokens-60+slow-50ms"
MIXED = (
    SLOW,
    QUICK,
    "sim/tokens-30+slow-50ms+usage-each-chunk",
    "sim/tokens-40+slow-20ms+no-usage",
    "sim/tokens-40+slow-20ms+wrong-usage",
    "sim/tokens-40+slow-20ms+cut-at-3000",
    "sim/error-frame-after-3+slow-30ms",
    "sim/tokens-20+head-delay-300ms",
    "sim/status-503",
    "sim/tokens-20+bad-json",
    "sim/tokens-200+write-7",
)
# Its provider bills to the end, whoever leaves.
STUBBORN = "sim/tokens-50+slow-20ms+bills-to-end"


def throw(crowd: Crowd, dice: random.Random, keys: Sequence[str], count: int, models: Sequence[str] = (*MIXED, STUBBORN)) -> None:
    """That many requests, most of them streams; one that finds nobody listening was never sent."""
    for _ in range(count):
        with contextlib.suppress(ConnectionError):
            crowd.ask(dice.choice(keys), encoded(dice.choice(models), stream=dice.random() < 0.8))


def desert(crowd: Crowd, dice: random.Random, count: int) -> None:
    """Some clients leave in the middle, politely or not."""
    for member in dice.sample(crowd.members, min(count, len(crowd.members))):
        if not member.ended:
            crowd.dismiss(member, dice.choice((Member.leave, Member.reset)))


def over(member: Member) -> bool:
    return member.ended or member.whole


def strike(children: Mapping[str, int], *names: str) -> None:
    """kill -9 of those that are there."""
    for name in names:
        with contextlib.suppress(ProcessLookupError, KeyError):
            os.kill(children[name], signal.SIGKILL)
