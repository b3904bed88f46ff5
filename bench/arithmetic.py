"""The arithmetic of a row: what one repetition was, and what several say together. Pure; it measures nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Rep:
    """One stretch of load: answers completed in `seconds`, and the CPU seconds that each part of the gateway spent on them.

    `cpu` counts until the gateway was idle again (work put off is work), `busy` only while the load ran.
    """

    answers: int
    seconds: float
    cpu: Mapping[str, float]
    busy: float


@dataclass(frozen=True, slots=True)
class Figure:
    """What all repetitions of one load on one row say. CPU is in microseconds per answer; `parts` are medians per part of the gateway."""

    per_s: float
    cpu_us: float
    cpu_us_least: float
    use_of_core: float
    parts: Mapping[str, float]
    answers: int
    reps: int


def cpu_us(rep: Rep) -> float:
    return sum(rep.cpu.values()) * 1e6 / rep.answers


def figure(reps: Sequence[Rep]) -> Figure:
    """Medians of all repetitions, and the least CPU per answer: on a shared machine the least is the one that repeats."""
    costs = [cpu_us(rep) for rep in reps]
    parts = {part: median(rep.cpu[part] * 1e6 / rep.answers for rep in reps) for part in reps[0].cpu}
    return Figure(
        per_s=median(rep.answers / rep.seconds for rep in reps),
        cpu_us=median(costs),
        cpu_us_least=min(costs),
        use_of_core=median(rep.busy / rep.seconds for rep in reps),
        parts=parts,
        answers=sum(rep.answers for rep in reps),
        reps=len(reps),
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: the smallest value that at least `share` (0..1) of all values do not exceed."""
    ordered = sorted(values)
    rank = -(-len(ordered) * share // 1)
    return ordered[max(int(rank), 1) - 1]


def charge(prompt: int, cached: int, output: int, prices: Mapping[str, int]) -> int:
    """What one canned answer costs in nano-dollars, from prices in nano-dollars per token; reckoned apart from the gateway on purpose."""
    return (prompt - cached) * prices["input"] + cached * prices["cache_read"] + output * prices["output"]
