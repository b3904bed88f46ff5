"""kill -9 of relays and control while streams of every kind run; the books must hold after every round."""

from __future__ import annotations

import random
import signal
from pathlib import Path

from soak.campaign import Campaign, Effort, Figures, say
from tests.harness.audit import audit
from tests.harness.crowd import Crowd
from tests.harness.gateway import Gateway
from tests.harness.priced import configuration, customer, encoded
from tests.harness.simulator import Simulator

_MODELS = ("sim/tokens-60+slow-50ms", "sim/tokens-5", "sim/tokens-40+slow-20ms+no-usage", "sim/tokens-200+write-7")
_STREAMS = 24


def run(place: Path, effort: Effort) -> Figures:
    dice = random.Random(effort.seed)
    killed = 0
    with Simulator(place) as simulator, Gateway(place, configuration(simulator.url, _MODELS), workers=2) as gateway:
        key = customer(gateway, "survivor", "5000")
        for turn in range(effort.rounds):
            with Crowd(gateway.url) as crowd:
                for _ in range(_STREAMS):
                    crowd.ask(key, encoded(dice.choice(_MODELS), stream=True))
                crowd.until(lambda member: member.flowing or member.ended)
                gateway.kill(dice.choice(("relay-0", "relay-1", "control")), signal.SIGKILL)
                killed += 1
                crowd.until(lambda member: member.ended or member.whole)
            gateway.wait_ready()
            if turn % 20 == 19:
                say(f"{turn + 1} rounds")
        found = audit(gateway, simulator)
    return {"kills": killed, "requests": len(found.requests), "charges_nano": found.charges, "bill_nano": found.bill}


CAMPAIGN = Campaign("kills", "G2", "kill -9 of relays and control under streams", Effort(rounds=3), Effort(rounds=200), run)
