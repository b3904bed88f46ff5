"""A chunk that crosses dialects costs what was promised, beside a fixed reference loop in the same run."""

from __future__ import annotations

import pytest

from bench import translation
from bench.translation import LIMITS_US, Cost, crossing, crossings, frames
from tests.harness.timing import timed

SLACK = 1.3
BATCHES = 5
TRIES = 20


@pytest.fixture(scope="module")
def costs() -> dict[tuple[str, str, str], Cost]:
    """The least of a few short runs, until it is little enough: a shared host only ever makes them worse."""
    least: dict[tuple[str, str, str], Cost] = {}
    for _ in range(TRIES):
        for cost in translation.measure(BATCHES):
            key = cost.kind, cost.provider, cost.client
            least[key] = min(least.get(key, cost), cost, key=lambda each: each.ratio)
        if all(cost.on_reference_us <= LIMITS_US[cost.kind] * SLACK for cost in least.values()):
            break
    return least


@timed
@pytest.mark.parametrize("kind", LIMITS_US)
def test_a_chunk_costs_no_more_than_was_promised(costs: dict[tuple[str, str, str], Cost], kind: str) -> None:
    over = [cost for cost in costs.values() if cost.kind == kind and cost.on_reference_us > LIMITS_US[kind] * SLACK]
    assert not over


@pytest.mark.parametrize("kind, provider, client", list(crossings()), ids=lambda value: value if isinstance(value, str) else value.name)
def test_what_is_measured_is_a_part_that_grows(kind: str, provider: translation.Doors, client: translation.Doors) -> None:
    begin, chunks = frames(provider, kind)
    stream = crossing(provider, client)
    said = [stream.feed(begin), *map(stream.feed, chunks)]
    # Gemini's arguments come as one, whoever said them.
    assert not stream.over and (all(said) or (client.name, kind) == ("gemini", "tool"))
