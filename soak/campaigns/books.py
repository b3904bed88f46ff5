"""The ledger against a tiny model of it, for many random histories of leases, charges, payments, sweeps, deaths and restarts.

A history that fails is made as short as it can be, and printed.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from soak.campaign import Campaign, Effort, Figures
from tests.store.bookkeeping import Books

_STEPS = 60


def run(place: Path, effort: Effort) -> Figures:
    """`rounds` histories, a share of them in a process for each processor. They make their homes themselves."""
    del place
    count = min(os.cpu_count() or 1, effort.rounds)
    shares = [effort.rounds // count + (number < effort.rounds % count) for number in range(count)]
    urls = [effort.postgres.url(effort.postgres.create()) if effort.postgres is not None else "" for _ in shares]
    seeds = [effort.seed + number for number in range(count)]
    with ProcessPoolExecutor(count, multiprocessing.get_context("spawn")) as pool:
        seen = sum(pool.map(histories, shares, seeds, urls), Counter[str]())
    assert seen["histories"] >= effort.rounds, seen
    assert seen["charged_nano"] > 0, seen
    return {**seen, "differences": 0}


def histories(rounds: int, its_seed: int, database: str) -> Counter[str]:
    """So many of them, one after the other, in a database of their own or in SQLite. Raises what the shortest history that fails raises."""
    seen: Counter[str] = Counter()

    @seed(its_seed)
    class Counted(Books):
        url = database

        def teardown(self) -> None:
            seen["histories"] += 1
            seen["requests"] += self.count
            seen["charged_nano"] += self.revenue
            super().teardown()

    chosen = settings(
        max_examples=rounds,
        stateful_step_count=_STEPS,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
    )
    run_state_machine_as_test(Counted, settings=chosen)
    return seen


_ABOUT = "the ledger and a model of it through random histories"
CAMPAIGN = Campaign("books", "G1", _ABOUT, Effort(rounds=300), Effort(rounds=10_000), run, on_postgres=True)
