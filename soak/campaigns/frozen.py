"""The database frozen under load: another process holds its lock, its server is stopped (PostgreSQL), or control is. Requests of accounts
with a lease go on.

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
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from soak.callers import Callers
from soak.campaign import Campaign, Effort, Figures, say
from tests.harness.audit import audit
from tests.harness.gateway import Gateway
from tests.harness.postgres import Server
from tests.harness.priced import chat, configuration, customer
from tests.harness.process import until
from tests.harness.simulator import Simulator

Frost = Callable[[Gateway], AbstractContextManager[None]]
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


def _frosts(server: Server | None, database: str) -> dict[str, Frost]:
    if server is None:
        return {"lock": _lock_held, "control": _control_stopped}
    return {"lock": lambda _: server.locked(database), "server": lambda _: server.frozen(), "control": _control_stopped}


def run(place: Path, effort: Effort) -> Figures:
    """`seconds` of frost of each kind."""
    dice = random.Random(effort.seed)
    figures: dict[str, float | int | str] = {}
    server = effort.postgres
    with Simulator(place) as simulator:
        for name in _frosts(server, ""):
            with _gateway(place / name, simulator, server, workers=2) as (gateway, frosts):
                seen = _under_load(gateway, simulator, dice, frosts[name], effort.seconds)
                figures |= {f"{name}_{what}": value for what, value in seen.items()}
            say(f"{name}: {seen}")
        lag = f"\n[billing]\njournal_lag_seconds = {_LAG_S}\n"
        with _gateway(place / "lag", simulator, server, workers=1, more=lag) as (gateway, frosts):
            figures["refused_after_s"] = _lag(gateway, simulator, frosts["server" if server is not None else "control"])
    return figures


@contextmanager
def _gateway(
    place: Path, simulator: Simulator, server: Server | None, *, workers: int, more: str = ""
) -> Iterator[tuple[Gateway, dict[str, Frost]]]:
    place.mkdir()
    simulator.reset()
    gateway = Gateway(place, configuration(simulator.url, (_MODEL,)) + more, workers=workers)
    database = ""
    if server is not None:
        database = server.create()
        server.hold(gateway, database)
    with gateway:
        yield gateway, _frosts(server, database)


def _under_load(gateway: Gateway, simulator: Simulator, dice: random.Random, frost: Frost, seconds: float) -> dict[str, float | int]:
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
        with frost(gateway):
            began = time.monotonic()
            await asyncio.gather(asyncio.sleep(seconds), asyncio.to_thread(ask_without_a_lease, began + seconds - _LAST_S))
            ended = time.monotonic()
        await asyncio.sleep(1.0)
        over.set()
        await calling
        return began, ended

    began, ended = asyncio.run(go())
    failures = steady.outcomes - Counter(served=steady.outcomes["served"])
    assert not failures, f"{failures.most_common(3)}\n{gateway.logs()[-3000:]}"
    assert refused.keys() == {503}, f"without a lease {refused}"
    usual = [took for at, took in steady.calls if at < began]
    within = [took for at, took in steady.calls if began <= at < ended]
    assert len(within) > seconds * _PER_S * 0.5, f"only {len(within)} requests in {seconds} s"
    assert max(within) < STALL_S, f"the slowest took {max(within):.2f} s"
    found = audit(gateway, simulator)
    served = steady.outcomes["served"]
    assert found.endings == {"complete": served}, f"{served} were served, the ledger has {found.endings}"
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


def _lag(gateway: Gateway, simulator: Simulator, frost: Frost) -> float:
    """Returns after how many seconds of frost the first request was refused."""
    key = customer(gateway, "rich", "50000")

    def status() -> int:
        with gateway.client() as client:
            return client.ask("POST", "/v1/chat/completions", chat(_MODEL), key=key).status

    assert status() == 200
    with frost(gateway):
        began = time.monotonic()
        until(lambda: status() == 503, lambda: "a journal far behind refuses nothing")
        took = time.monotonic() - began
        assert took >= _LAG_S - 1, f"refused after {took:.1f} s already"
    until(lambda: status() == 200, lambda: "nothing is served after the frost")
    audit(gateway, simulator)
    return round(took, 1)


_ABOUT = "the database or control frozen under load"
CAMPAIGN = Campaign("frozen", "G19", _ABOUT, Effort(seconds=4), Effort(seconds=30), run, on_postgres=True)
