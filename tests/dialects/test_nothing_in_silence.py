"""A field that nobody knows, planted at every object of every fixture: it comes through, is reported by its place, or is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from halley.chat.doors import Doors
from halley.chat.model import Ask, Function
from halley.dialects import DOORS
from halley.dialects.bridge import spelled
from halley.errors import Refused
from tests.harness.goldens import FIXTURES, read, target

PLANT = "planted"
MAPS = {"metadata", "logit_bias"}  # whose keys are the caller's own: they are lost as one
ASKS = [path for path in sorted((FIXTURES / "asks").glob("*/*.json")) if ".to-" not in path.name]


def test_there_are_asks_of_every_dialect() -> None:
    assert {path.parent.name for path in ASKS} == set(DOORS)


@pytest.mark.parametrize("path", ASKS, ids=lambda path: "/".join(path.parts[-2:]))
def test_a_field_that_nobody_knows_is_never_dropped_in_silence(path: Path) -> None:
    mine = DOORS[path.parent.name]
    whole = json.loads(path.read_bytes())
    silent: list[str] = []
    for place, found in list(objects(whole)):
        found[PLANT] = "planted"
        body = json.dumps(whole).encode()
        try:
            ask = read(mine, body)
        except Refused:
            continue
        finally:
            del found[PLANT]
        others = [other for other in DOORS.values() if other is not mine]
        left_out = unoffered(ask)
        others = [other for other in others if not (other.name == "anthropic" and f"{place}.".startswith(left_out))]
        silent += [f"{place or 'the body'} to {other.name}" for other in others if not told(ask, mine, other, place)]
    assert not silent


def objects(value: Any, at: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, dict):
        yield at, value
        for key, inner in value.items():
            yield from objects(inner, f"{at}.{key}" if at else key)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from objects(inner, f"{at}[{index}]")


def unoffered(ask: Ask) -> tuple[str, ...]:
    """Tools that may not be called: a dialect that cannot narrow the choice to some is not told of the others."""
    names = () if ask.choice is None else ask.choice.names
    return tuple(tool.at for tool in ask.tools if names and isinstance(tool, Function) and tool.name not in names)


def told(ask: Ask, mine: Doors, other: Doors, place: str) -> bool:
    """Whether it arrived, or a loss or a refusal names it or what holds it and was kept as it came."""
    try:
        written = other.write_ask(ask, target(other))
    except Refused:
        return True
    if PLANT.encode() in written.body:
        return True
    holders = (
        {f"{place}.{PLANT}" if place else PLANT} | MAPS & {place} | {extra.at for extra in ask.extras if PLANT.encode() in bytes(extra.raw)}
    )
    return any(loss.path in holders for loss in spelled(written.losses, mine))
