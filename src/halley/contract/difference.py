"""What two runs have not in common, in the order in which a cause is looked for: where they went, what they sent, with which model and
version, and only then what came back. The first difference mostly explains the others. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from halley.contract.records import Outcome, Run
from halley.contract.shapes import changes
from halley.contract.surroundings import MOCK


class Difference(NamedTuple):
    """`hard` if it is one of outcome, not of place or of a field that is there on one side only."""

    what: str
    a: str
    b: str
    hard: bool = False


def of_runs(a: Run, b: Run) -> Iterator[Difference]:
    """Everything, surroundings first. The port of a mock is another one each time and is no difference."""
    mocked = a.surroundings.key_from == b.surroundings.key_from == MOCK
    for name in a.surroundings.__struct_fields__:
        if mocked and name in ("base_url", "endpoint_root"):
            continue
        yield from _unless_same(name, _shown(getattr(a.surroundings, name)), _shown(getattr(b.surroundings, name)))
    yield from _unless_same("profile", a.profile, b.profile)
    models = ({each.kind: each.model for each in run.models} for run in (a, b))
    first, second = models
    for kind in sorted(first.keys() | second.keys()):
        yield from _unless_same(f"model for {kind}", first.get(kind, "none"), second.get(kind, "none"))
    yield from of_outcomes(a, b)


def of_outcomes(a: Run, b: Run) -> Iterator[Difference]:
    """Case by case: outcome, status, diagnosis, then the reply's fields where both passed."""
    first, second = _cases(a), _cases(b)
    missing = ({each.contract: each.reason for each in run.not_run} for run in (a, b))
    not_a, not_b = missing
    for name in dict.fromkeys((*first, *second)):
        mine, other = first.get(name), second.get(name)
        if mine is None or other is None:
            contract = name.partition(":")[0]
            why = [f"not run: {reasons.get(contract, 'not part of it')}" for reasons in (not_a, not_b)]
            yield Difference(name, mine.result if mine else why[0], other.result if other else why[1], hard=True)
            continue
        yield from _unless_same(f"{name}, outcome", _outcome(mine), _outcome(other), hard=True)
        yield from _unless_same(f"{name}, status", _shown(mine.status), _shown(other.status), hard=True)
        for change in changes(mine.shape, other.shape) if mine.result == other.result == "pass" else ():
            yield Difference(f"{name}, field {change.field}", change.before, change.now)


def _cases(run: Run) -> dict[str, Outcome]:
    return {f"{each.contract}: {each.case}": each for each in run.outcomes}


def _outcome(outcome: Outcome) -> str:
    return f"{outcome.result} ({outcome.code})" if outcome.code else outcome.result


def _unless_same(what: str, a: str, b: str, *, hard: bool = False) -> Iterator[Difference]:
    if a != b:
        yield Difference(what, a, b, hard)


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(str(each) for each in value) or "none"  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return "none" if value in (None, "") else str(value)


class Side(NamedTuple):
    """One line of a comparison."""

    case: str
    a: str
    b: str
    same: bool


def side_by_side(a: Run, b: Run) -> list[Side]:
    first, second = _cases(a), _cases(b)
    found: list[Side] = []
    for name in dict.fromkeys((*first, *second)):
        shown = [f"{_shown(each.status)} {_outcome(each)}" if each else "not run" for each in (first.get(name), second.get(name))]
        found.append(Side(name, shown[0], shown[1], shown[0] == shown[1]))
    return found
