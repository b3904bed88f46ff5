"""Credit for exactly ten calls and five hundred callers at the same moment at four relays: ten are served, and everybody else is refused.

In turn the bound is what the account has, the budget of a key, and the budget of an end user whom nobody has seen before.
"""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from pathlib import Path

from soak.campaign import Campaign, Effort, Figures
from soak.siege import Siege
from tests.harness import books
from tests.harness.crowd import Crowd, request
from tests.harness.gateway import Gateway
from tests.harness.priced import encoded
from tests.harness.process import until
from tests.harness.simulator import Simulator

CALLS = 10
CALLERS = 500
RELAYS = 4
_USD = "0.0123"
_NANO = 12_300_000
_MODELS = ("sim/tokens-5", "sim/tokens-5+head-delay-300ms", "sim/tokens-10+slow-20ms")
BOUNDS = ("account", "key", "user")


def run(place: Path, effort: Effort) -> Figures:
    dice = random.Random(effort.seed)
    relays: Counter[int] = Counter()
    slowest = 0.0
    with Simulator(place) as simulator, Gateway(place, _configuration(simulator.url), workers=RELAYS) as gateway:
        besieged = Siege(gateway, simulator, RELAYS)
        for turn in range(effort.rounds):
            simulator.reset()
            bound = BOUNDS[turn % len(BOUNDS)]
            begun = time.monotonic()
            relays[_round(besieged, dice, bound, f"{bound}-{turn}")] += 1
            slowest = max(slowest, time.monotonic() - begun)
        found = besieged.office("ledger.verify")
        assert found["differences"] == [], found
        assert gateway.stop(signal.SIGTERM) == 0, gateway.logs()[-3000:]
    served = effort.rounds * CALLS
    return {
        "rounds": effort.rounds,
        "served": served,
        "refused": effort.rounds * CALLERS - served,
        "most_relays_in_a_round": max(relays),
        "slowest_round_s": round(slowest, 2),
    }


def _configuration(url: str) -> str:
    """A call costs the same whatever its answer says, so that none gives anything back for another."""
    rows = (f'[[models]]\nid = "{model}"\noffers = [{{ provider = "sim" }}]\nprice = {{ per_request = "{_USD}" }}\n' for model in _MODELS)
    provider = f'[[providers]]\nname = "sim"\nkind = "openai-compatible"\nbase_url = "{url}/v1"\napi_key = "sk-any"\n'
    return "\n".join([provider, *rows])


def _round(besieged: Siege, dice: random.Random, bound: str, name: str) -> int:
    """Returns at how many relays somebody was served."""
    credit = CALLS * _NANO
    besieged.office("accounts.create", name=name)
    besieged.office("credit", account=name, amount=credit if bound == "account" else 1000 * credit)
    key = besieged.office("keys.create", name=name, account=name)["key"]
    if bound != "account":
        subject = name if bound == "key" else ""
        besieged.office("budgets.set", account=name, level=bound, subject=subject, amount=credit, reset="none")
    model, stream = dice.choice(_MODELS), dice.random() < 0.5
    data = request(key, encoded(model, stream=stream, user="somebody"))
    with Crowd(besieged.gateway.url) as crowd:
        # All but the last byte of everybody, and then the last byte of everybody.
        for _ in range(CALLERS):
            crowd.join(data[:-1])
        for member in crowd:
            member.connection.send(data[-1:])
        crowd.until(lambda member: member.whole)
        statuses = Counter(member.status for member in crowd)
        assert statuses == {200: CALLS, 402: CALLERS - CALLS}, f"{name}, {model}: {statuses}"
        served = {member.id for member in crowd if member.status == 200}
    home = besieged.gateway.home
    until(lambda: served == {row.id for row in _rows(home, name) if row.ending}, lambda: f"{name}: {len(_rows(home, name))} rows")
    rows = _rows(home, name)
    with books.store(home) as connection:
        balances = books.balances(connection)
    left = balances.get(f"available:{name}", 0) + balances.get(f"held:{name}", 0)
    assert sum(row.charge for row in rows) == credit, f"{name}: {rows}"
    assert left == (0 if bound == "account" else 999 * credit), f"{name}: {left}"
    asked = Counter(attempt["request_id"] for attempt in besieged.simulator.bill()["attempts"])
    assert asked == Counter(served), f"{name}: the upstream was asked for {asked}"
    return len({row.relay for row in rows})


def _rows(home: Path, account: str) -> list[books.Row]:
    with books.store(home) as connection:
        return [row for row in books.requests(connection) if row.account == account]


CAMPAIGN = Campaign(
    "credit", "G4", "credit for ten calls, and 500 callers at once at four relays", Effort(rounds=3), Effort(rounds=100), run
)
