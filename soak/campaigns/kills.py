"""kill -9 at random moments of relays, control, the supervisor, or two of them, under mixed traffic; the books hold after every round.

A group of rounds shares a home; one relay and two take turns from group to group.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

from soak.campaign import Campaign, Effort, Figures, say
from soak.siege import BLOWS, hold_out, siege
from tests.harness.audit import Audited
from tests.harness.crowd import Crowd
from tests.harness.mixed import desert, over, throw
from tests.harness.simulator import Simulator

_GROUP = 10  # or half of a campaign that is shorter than two
_AT_ONCE = 100


def run(place: Path, effort: Effort) -> Figures:
    dice = random.Random(effort.seed)
    blows: Counter[str] = Counter()
    endings: Counter[str] = Counter()
    charges = bill = witnessed = 0
    slowest = 0.0
    group = max(min(_GROUP, effort.rounds // 2), 1)
    with Simulator(place) as simulator:
        for first in range(0, effort.rounds, group):
            workers = 1 + (first // group) % 2
            with siege(place / f"home-{first}", simulator, workers, effort.postgres) as besieged:
                besieged.gateway.start()
                besieged.settle_in()
                found = Audited(())
                for turn in range(first, min(first + group, effort.rounds)):
                    what = BLOWS[turn % len(BLOWS)] if effort.rounds <= len(BLOWS) else dice.choice(BLOWS)
                    with Crowd(besieged.gateway.url) as crowd:
                        throw(crowd, dice, besieged.keys, _AT_ONCE)
                        besieged.pay()
                        hold_out(crowd, dice.uniform(0.0, 1.5))
                        desert(crowd, dice, 8)
                        blow = time.monotonic()
                        besieged.strike(what, dice)
                        crowd.until(over)
                    blows[what] += 1
                    found = besieged.audit(blow)
                slowest = max(slowest, besieged.slowest_s)
            endings += found.endings
            witnessed += found.witnessed.ends
            charges += found.charges
            bill += found.bill
            say(f"{sum(blows.values())} rounds, {endings.total()} requests")
    assert endings["crash"] > 0, "nothing died with a request in it"
    return {
        "kills": blows.total(),
        **{f"kills_{what}": count for what, count in sorted(blows.items())},
        "requests": endings.total(),
        "ends_compared_with_journals": witnessed,
        **{f"ended_{ending}": count for ending, count in sorted(endings.items())},
        "charges_nano": charges,
        "bill_nano": bill,
        "slowest_settled_s": round(slowest, 1),
    }


_ABOUT = "kill -9 of relays, control and supervisor at random moments"
CAMPAIGN = Campaign("kills", "G2", _ABOUT, Effort(rounds=6), Effort(rounds=200), run, on_postgres=True)
