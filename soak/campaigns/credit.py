"""Credit for exactly ten calls and five hundred callers at the same moment at four relays: ten are served, and everybody else is refused,
whether the relays are of one node or of two that share a database (PostgreSQL).

In turn the bound is what the account has, the budget of a key, and the budget of an end user whom nobody has seen before.
"""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from soak.campaign import Campaign, Effort, Figures
from soak.nodes import knows, nodes
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
    """`rounds` of them; on PostgreSQL so many with all relays at one node, and so many again with two nodes on one database."""
    dice = random.Random(effort.seed)
    figures: dict[str, int | float] = {}
    with Simulator(place) as simulator:
        for workers in ((RELAYS,), (RELAYS // 2, RELAYS // 2))[: 1 if effort.postgres is None else 2]:
            with nodes(place / f"nodes-{len(workers)}", _configuration(simulator.url), workers, effort.postgres) as gateways:
                seen = _rounds(Siege(gateways[0], simulator, workers[0]), gateways, dice, effort.rounds, effort.postgres is not None)
                assert all(each.stop(signal.SIGTERM) == 0 for each in gateways), [each.logs()[-3000:] for each in gateways]
            figures |= {f"{name}_at_two_nodes" if len(workers) > 1 else name: value for name, value in seen.items()}
    return figures


def _rounds(besieged: Siege, gateways: Sequence[Gateway], dice: random.Random, rounds: int, patient: bool) -> dict[str, int | float]:
    relays: Counter[int] = Counter()
    statuses: Counter[int] = Counter()
    slowest = 0.0
    for turn in range(rounds):
        besieged.simulator.reset()
        bound = BOUNDS[turn % len(BOUNDS)]
        begun = time.monotonic()
        answered, count = _round(besieged, gateways, dice, bound, f"{bound}-{turn}", patient)
        statuses += answered
        relays[count] += 1
        slowest = max(slowest, time.monotonic() - begun)
    found = besieged.office("ledger.verify")
    assert found["differences"] == [], found
    return {
        "rounds": rounds,
        "served": statuses[200],
        "refused": statuses[402],
        "told_to_come_again": statuses[503],
        "most_relays_in_a_round": max(relays),
        "slowest_round_s": round(slowest, 2),
    }


def _configuration(url: str) -> str:
    """A call costs the same whatever its answer says, so that none gives anything back for another."""
    rows = (f'[[models]]\nid = "{model}"\noffers = [{{ provider = "sim" }}]\nprice = {{ per_request = "{_USD}" }}\n' for model in _MODELS)
    provider = f'[[providers]]\nname = "sim"\nkind = "openai-compatible"\nbase_url = "{url}/v1"\napi_key = "sk-any"\n'
    return "\n".join([provider, *rows])


def _round(
    besieged: Siege, gateways: Sequence[Gateway], dice: random.Random, bound: str, name: str, patient: bool
) -> tuple[Counter[int], int]:
    """Returns what was answered, and at how many relays somebody was served."""
    credit = CALLS * _NANO
    besieged.office("accounts.create", name=name)
    besieged.office("credit", account=name, amount=credit if bound == "account" else 1000 * credit)
    key = besieged.office("keys.create", name=name, account=name)["key"]
    if bound != "account":
        subject = name if bound == "key" else ""
        besieged.office("budgets.set", account=name, level=bound, subject=subject, amount=credit, reset="none")
    if len(gateways) > 1:
        # Who knows what was changed last knows everything before it.
        last = besieged.office("keys.create", name=f"{name}-last", account=name)["key"]
        until(lambda: all(knows(each, last) for each in gateways), lambda: f"{name}: not every node knows the key")
    model, stream = dice.choice(_MODELS), dice.random() < 0.5
    data = request(key, encoded(model, stream=stream, user="somebody"))
    with ExitStack() as stack:
        crowds = [stack.enter_context(Crowd(each.url)) for each in gateways]
        # All but the last byte of everybody, and then the last byte of everybody.
        for number in range(CALLERS):
            crowds[number % len(crowds)].join(data[:-1])
        everybody = [member for members in zip(*crowds, strict=True) for member in members]
        for member in everybody:
            member.connection.send(data[-1:])
        told = _whole(crowds, data)
        statuses = Counter(member.status for crowd in crowds for member in crowd)
        # A database in the machine says in time that there is no more.
        assert statuses == {200: CALLS, 402: CALLERS - CALLS} and (patient or not told), (
            f"{name}, {model}: {statuses}, {told} told to come again"
        )
        served = {member.id for crowd in crowds for member in crowd if member.status == 200}
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
    return statuses + Counter({503: told}), len({row.relay for row in rows})


def _whole(crowds: Sequence[Crowd], data: bytes) -> int:
    """Until everybody has a whole answer. Who is told to come again does so; how many were."""
    told = 0
    while True:
        for crowd in crowds:
            crowd.until(lambda member: member.whole)
        late = [(crowd, member) for crowd in crowds for member in crowd if member.status == 503]
        if not late:
            return told
        told += len(late)
        time.sleep(1.0)  # as they were told
        for crowd, member in late:
            crowd.dismiss(member)
            crowd.join(data)


def _rows(home: Path, account: str) -> list[books.Row]:
    with books.store(home) as connection:
        return [row for row in books.requests(connection) if row.account == account]


_ABOUT = "credit for ten calls, and 500 callers at once at four relays"
CAMPAIGN = Campaign("credit", "G4", _ABOUT, Effort(rounds=3), Effort(rounds=100), run, on_postgres=True)
