"""A journal of many requests folded beside a gateway under load: the books follow faster than a node is asked, on a busy machine, too.

The journal and its folding are those of `script/bench --folding`, in a process and a home of their own.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter
from pathlib import Path

from soak.callers import Callers
from soak.campaign import Campaign, Effort, Figures
from tests.harness.audit import audit
from tests.harness.gateway import Gateway
from tests.harness.postgres import stored
from tests.harness.priced import configuration, customer
from tests.harness.process import ROOT
from tests.harness.simulator import Simulator

LEAST_PER_S = 5000
_PER_S = 400
_MODEL = "sim/tokens-5"
_FOLD = "from bench.folding import measure; found = measure({}, url={!r}); print(found.per_s, found.cpu_us)"


def run(place: Path, effort: Effort) -> Figures:
    """`rounds` times 10,000 requests are folded."""
    server = effort.postgres
    with Simulator(place) as simulator:
        gateway = stored(Gateway(place, configuration(simulator.url, (_MODEL,)), workers=1), server)
        folding = _FOLD.format(effort.rounds * 10_000, server.url(server.create()) if server is not None else "")
        with gateway:
            return _beside(gateway, simulator, effort, folding)


def _beside(gateway: Gateway, simulator: Simulator, effort: Effort, folding: str) -> Figures:
    callers = Callers(gateway.url, customer(gateway, "steady", "50000"), random.Random(effort.seed), (_MODEL,), _PER_S)
    per_s, cpu_us, beside = asyncio.run(_fold(callers, folding))
    failures = callers.outcomes - Counter(served=callers.outcomes["served"])
    assert not failures, f"{failures.most_common(3)}\n{gateway.logs()[-3000:]}"
    audit(gateway, simulator)
    assert per_s >= LEAST_PER_S, f"{per_s:.0f} requests/s were folded, {cpu_us:.1f} us of CPU each"
    return {"folded_per_s": round(per_s), "cpu_us": round(cpu_us, 1), "requests_beside": beside}


async def _fold(callers: Callers, program: str) -> tuple[float, float, int]:
    """Requests folded in a second, their microseconds of CPU, and how many were served meanwhile."""
    over = asyncio.Event()
    calling = asyncio.create_task(callers.call_until(over))
    await asyncio.sleep(1.0)
    before = len(callers.calls)
    folding = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, cwd=ROOT, env={"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await folding.communicate()
    served = len(callers.calls) - before
    over.set()
    await calling
    assert folding.returncode == 0, "the folding failed"
    per_s, cpu_us = map(float, said.split())
    return per_s, cpu_us, served


_ABOUT = "a long journal folded beside a gateway under load"
CAMPAIGN = Campaign("folds", "G1", _ABOUT, Effort(rounds=3), Effort(rounds=20), run, on_postgres=True)
