"""The database frozen under load: another process holds its lock, or control is stopped. Requests of accounts with a lease go on.

Nothing is admitted that no lease covers, no usage is lost when it thaws, and a journal that control does not read for longer than the limit
stops new paid work with 503.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from soak.callers import Callers
from soak.campaign import Campaign, Effort, Figures, say
from tests.harness.audit import audit
from tests.harness.gateway import Gateway
from tests.harness.priced import chat, configuration, customer
from tests.harness.process import until
from tests.harness.simulator import Simulator

_PER_S = 200
_MODEL = "sim/tokens-5"
_LAG_S = 3
# Some hundred times what a request takes, and less than what anything waits for that waits for control (2 s).
STALL_S = 1.5
# How long before the thaw a stranger asks for the last time: its request may wait for a lease so long (2 s).
_LAST_S = 2.5
_HOLD = """
import sqlite3, sys
store = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)
store.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def _lock_held(gateway: Gateway) -> Iterator[None]:
    command = [sys.executable, "-c", _HOLD, str(gateway.home / "halley.db")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        yield  # its end of input, when the block is left, is its end


@contextmanager
def _control_stopped(gateway: Gateway) -> Iterator[None]:
    control = gateway.kill("control", signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(control, signal.SIGCONT)


FROSTS = {"lock": _lock_held, "control": _control_stopped}


def run(place: Path, effort: Effort) -> Figures:
    """`seconds` of frost of each kind."""
    dice = random.Random(effort.seed)
    figures: dict[str, float | int | str] = {}
    with Simulator(place) as simulator:
        for frost in FROSTS:
            home = place / frost
            home.mkdir()
            simulator.reset()
            toml = configuration(simulator.url, (_MODEL,))
            with Gateway(home, toml, workers=2) as gateway:
                figures |= {
                    f"{frost}_{name}": value for name, value in _under_load(gateway, simulator, dice, frost, effort.seconds).items()
                }
            say(f"{frost}: {figures}")
        home = place / "lag"
        home.mkdir()
        simulator.reset()
        toml = configuration(simulator.url, (_MODEL,)) + f"\n[billing]\njournal_lag_seconds = {_LAG_S}\n"
        with Gateway(home, toml, workers=1) as gateway:
            figures["refused_after_s"] = _lag(gateway, simulator)
    return figures


def _under_load(gateway: Gateway, simulator: Simulator, dice: random.Random, frost: str, seconds: float) -> dict[str, float | int]:
    known, unknown = customer(gateway, "known", "50000"), customer(gateway, "unknown", "50000")
    steady = Callers(gateway.url, known, dice, (_MODEL,), _PER_S)
    refused: Counter[int] = Counter()

    def ask_without_a_lease(until_: float) -> None:
        while time.monotonic() < until_:
            with gateway.client() as client:
                refused[client.ask("POST", "/v1/chat/completions", chat(_MODEL), key=unknown).status] += 1

    async def go() -> tuple[float, float]:
        over = asyncio.Event()
        calling = asyncio.create_task(steady.call_until(over))
        await asyncio.sleep(2.0)
        with FROSTS[frost](gateway):
            began = time.monotonic()
            await asyncio.gather(asyncio.sleep(seconds), asyncio.to_thread(ask_without_a_lease, began + seconds - _LAST_S))
            ended = time.monotonic()
        await asyncio.sleep(1.0)
        over.set()
        await calling
        return began, ended

    began, ended = asyncio.run(go())
    failures = steady.outcomes - Counter(served=steady.outcomes["served"])
    assert not failures, f"{frost}: {failures.most_common(3)}\n{gateway.logs()[-3000:]}"
    assert refused.keys() == {503}, f"{frost}: without a lease {refused}"
    usual = [took for at, took in steady.calls if at < began]
    within = [took for at, took in steady.calls if began <= at < ended]
    assert len(within) > seconds * _PER_S * 0.5, f"{frost}: only {len(within)} requests in {seconds} s"
    assert max(within) < STALL_S, f"{frost}: the slowest took {max(within):.2f} s"
    found = audit(gateway, simulator)
    served = steady.outcomes["served"]
    assert found.endings == {"complete": served}, f"{frost}: {served} were served, the ledger has {found.endings}"
    return {
        "requests": len(within),
        "usual_p50_ms": round(statistics.median(usual) * 1e3, 1),
        "p50_ms": round(statistics.median(within) * 1e3, 1),
        "usual_p99_ms": round(statistics.quantiles(usual, n=100)[-1] * 1e3, 1),
        "p99_ms": round(statistics.quantiles(within, n=100)[-1] * 1e3, 1),
        "worst_ms": round(max(within) * 1e3, 1),
        "refused_without_a_lease": refused[503],
        "rows_lost": 0,
    }


def _lag(gateway: Gateway, simulator: Simulator) -> float:
    """Returns after how many seconds of frost the first request was refused."""
    key = customer(gateway, "rich", "50000")

    def status() -> int:
        with gateway.client() as client:
            return client.ask("POST", "/v1/chat/completions", chat(_MODEL), key=key).status

    assert status() == 200
    with _control_stopped(gateway):
        began = time.monotonic()
        until(lambda: status() == 503, lambda: "a journal far behind refuses nothing")
        took = time.monotonic() - began
        assert took >= _LAG_S - 1, f"refused after {took:.1f} s already"
    until(lambda: status() == 200, lambda: "nothing is served after the frost")
    audit(gateway, simulator)
    return round(took, 1)


CAMPAIGN = Campaign("frozen", "G19", "the database or control frozen under load", Effort(seconds=4), Effort(seconds=30), run)
