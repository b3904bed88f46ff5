"""Rolling restarts, reloads with changed settings and relays told to end, under a steady stream of requests: none is refused or fails."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import statistics
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from soak.callers import Callers
from soak.campaign import Campaign, Effort, Figures, say
from tests.harness.audit import audit
from tests.harness.gateway import Gateway
from tests.harness.postgres import stored
from tests.harness.priced import configuration, customer
from tests.harness.simulator import Simulator

_PER_S = 200
_MODELS = ("sim/tokens-5", "sim/tokens-10+slow-20ms")


def run(place: Path, effort: Effort) -> Figures:
    dice = random.Random(effort.seed)
    with Simulator(place) as simulator:
        toml = configuration(simulator.url, _MODELS, server="workers = 2")
        with stored(Gateway(place, toml, workers=None), effort.postgres) as gateway:
            key = customer(gateway, "steady", "50000")
            callers = Callers(gateway.url, key, dice, _MODELS, _PER_S)
            kinds = asyncio.run(_restarts(gateway, callers, toml, dice, effort.rounds))
            failures = callers.outcomes - Counter(served=callers.outcomes["served"])
            assert not failures, (
                f"{failures.total()} of {callers.outcomes.total()} failed: {failures.most_common(3)}\n{gateway.logs()[-3000:]}"
            )
            found = audit(gateway, simulator)
            assert found.endings == {"complete": callers.outcomes["served"]}, found.endings
            took = sorted(took for _, took in callers.calls)
            figures = {"restarts": effort.rounds, **kinds, "requests": len(took), "failures": 0}
            return {**figures, "p50_ms": round(statistics.median(took) * 1e3, 1), "worst_ms": round(took[-1] * 1e3, 1)}


async def _restarts(gateway: Gateway, callers: Callers, toml: str, dice: random.Random, rounds: int) -> dict[str, int]:
    over = asyncio.Event()
    calling = asyncio.create_task(callers.call_until(over))
    kinds: Counter[str] = Counter()
    # The first three are one of each, whatever the seed.
    for turn in range(rounds):
        kind = ("rolled", "changed", "told")[turn] if turn < 3 else dice.choice(("rolled", "changed", "told"))
        kinds[kind] += 1
        await asyncio.sleep(0.5)
        before = gateway.children()
        if kind == "told":
            name = dice.choice(("relay-0", "relay-1"))
            os.kill(before[name], signal.SIGTERM)
            await _until(lambda name=name, before=before: gateway.children().get(name, before[name]) != before[name])
            continue
        if kind == "changed":
            gateway.config.write_text(f'{toml}\n[billing]\nmarkup = "1.{turn}"\n')
        reloads = gateway.status()["reloads"]
        os.kill(gateway.pid, signal.SIGHUP)
        await _until(lambda reloads=reloads: gateway.status()["reloads"] > reloads)
        assert not gateway.status()["refused"], gateway.status()["refused"]
        after = gateway.children()
        changed = {name for name in before if after[name] != before[name]}
        assert changed == {"relay-0", "relay-1", *(("control",) if kind == "changed" else ())}, f"{kind}: {before} {after}"
        if turn % 20 == 19:
            say(f"{turn + 1} restarts")
    await asyncio.sleep(0.5)
    over.set()
    await calling
    return dict(kinds)


async def _until(seen: Callable[[], bool]) -> None:
    async with asyncio.timeout(60.0):
        while not seen():  # noqa: ASYNC110  (what is awaited is a file of another process)
            await asyncio.sleep(0.02)


_ABOUT = "rolling restarts and reloads at 200 requests a second"
CAMPAIGN = Campaign("restarts", "G17", _ABOUT, Effort(rounds=3), Effort(rounds=40), run, on_postgres=True)
