"""A baseline: the fingerprints of a run's replies, to be kept beside the code of whoever depends on them, and what differs from it later.

It holds field names and types, no values, so that it can be committed. Only cases that passed are in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from halley.contract.findings import Finding, finding
from halley.contract.records import Outcome, Run
from halley.contract.shapes import changes

_MOST = 20
"""Differences of one case that are named one by one."""


class BadBaseline(ValueError):
    """A file that holds no baseline."""


class Face(msgspec.Struct, frozen=True):
    """What of one case is part of the contract."""

    status: int | None
    shape: tuple[str, ...]


class Baseline(msgspec.Struct, frozen=True):
    run_id: str
    timestamp_utc: str
    cases: dict[str, Face]


def _name(outcome: Outcome) -> str:
    return f"{outcome.contract} {outcome.case}"


def _faces(run: Run) -> dict[str, Face]:
    return {_name(each): Face(each.status, each.shape) for each in run.outcomes if each.result == "pass"}


def baseline(run: Run) -> bytes:
    return msgspec.json.format(msgspec.json.encode(Baseline(run.run_id, run.timestamp_utc, _faces(run))), indent=1) + b"\n"


def read(kept: bytes) -> Baseline:
    """Raises BadBaseline."""
    try:
        return msgspec.json.decode(kept, type=Baseline)
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise BadBaseline(f"it is not a baseline: {fault}") from None


def compare(before: Baseline, run: Run) -> list[Finding]:
    return list(_differences(before.cases, run))


def _differences(before: Mapping[str, Face], run: Run) -> Iterator[Finding]:
    now = _faces(run)
    seen = {_name(each): each for each in run.outcomes}
    for name, face in before.items():
        if name in now:
            yield from _between(name, face, now[name])
        elif name in seen:
            yield finding("contract-drift", what=f"{name}: it passed, now it is {seen[name].result}")
        elif any(each.contract == name.partition(" ")[0] for each in run.not_run):
            yield finding("contract-drift", what=f"{name}: it passed, now it could not be run")
    for name in now:
        if name not in before:
            yield finding("contract-grew", what=name)


def _between(name: str, before: Face, now: Face) -> Iterator[Finding]:
    if before.status != now.status:
        yield finding("contract-drift", what=f"{name}: status was {before.status}, is {now.status}")
    found = changes(before.shape, now.shape)
    for change in found[:_MOST]:
        code = "contract-grew" if change.grew else "contract-drift"
        yield finding(code, what=f"{name}: {change.field} was {change.before}, is {change.now}")
    if len(found) > _MOST:
        yield finding("contract-drift", what=f"{name}: {len(found) - _MOST} more fields")
