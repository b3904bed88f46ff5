"""The ledger against a tiny model of it, for many random histories of leases, charges, payments, sweeps, deaths and restarts.

A history that fails is made as short as it can be, and printed.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from soak.campaign import Campaign, Effort, Figures
from tests.store.bookkeeping import Books

_STEPS = 60


def run(place: Path, effort: Effort) -> Figures:
    """`rounds` histories. The machine makes its homes itself, one for each."""
    del place
    seen: Counter[str] = Counter()

    @seed(effort.seed)
    class Counted(Books):
        server = effort.postgres

        def teardown(self) -> None:
            seen["histories"] += 1
            seen["requests"] += self.count
            seen["charged_nano"] += self.revenue
            super().teardown()

    chosen = settings(
        max_examples=effort.rounds,
        stateful_step_count=_STEPS,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
    )
    run_state_machine_as_test(Counted, settings=chosen)
    assert seen["histories"] >= effort.rounds, seen
    assert seen["charged_nano"] > 0, seen
    return {**seen, "differences": 0}


_ABOUT = "the ledger and a model of it through random histories"
CAMPAIGN = Campaign("books", "G1", _ABOUT, Effort(rounds=300), Effort(rounds=10_000), run, on_postgres=True)
