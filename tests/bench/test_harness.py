"""The socket-free harness of the hot path and the one timing that is gated: CPU beside a fixed reference loop in the same run."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest

from bench import harness
from tests.harness.timing import timed

# Seen on the reference machine with Debian's Python 3.11, as a ratio to the reference loop. Interpreters differ in how they run the
# two, so that a build with other optimisations has other ratios. An improvement is worth a smaller figure here.
RECORDED = {"json": 2.7, "sse": 7.0, "frames": 53.0}
SLACK = 1.3
BATCHES = 15
TRIES = 20


@pytest.fixture(scope="module")
def costs() -> dict[str, float]:
    """The least ratios of a few short runs, until they are little enough: a shared host only ever makes them worse."""
    least: dict[str, float] = {}
    for _ in range(TRIES):
        for cost in harness.measure(tuple(RECORDED), BATCHES):
            least[cost.name] = min(least.get(cost.name, cost.ratio), cost.ratio)
        if all(least[name] <= RECORDED[name] * SLACK for name in RECORDED):
            break
    return least


@timed
@pytest.mark.parametrize("name", RECORDED)
def test_the_hot_path_costs_no_more_than_was_recorded(costs: dict[str, float], name: str) -> None:
    assert costs[name] <= RECORDED[name] * SLACK


def test_a_request_leaves_nothing_for_the_garbage_collector(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()

    async def work() -> dict[str, int]:
        rig = harness.Rig(tmp_path)
        try:
            left: dict[str, int] = {}
            for name, load in harness.loads(rig.key).items():
                await rig.serve(load)
                gc.collect()
                await rig.serve(load)
                left[name] = gc.collect()
            return left
        finally:
            rig.close()

    gc.disable()
    try:
        assert asyncio.run(work()) == dict.fromkeys(RECORDED, 0)
    finally:
        gc.enable()
