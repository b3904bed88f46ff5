"""The fuzzer's targets: each has inputs to begin with, which it holds, and its mutants stay its own."""

from __future__ import annotations

import random

import pytest

from soak.fuzz.targets import TARGETS, corpus, spoiled
from tests.harness import held

INPUTS = list(corpus())


def test_every_dialect_is_fuzzed_in_every_door_and_the_wire_too() -> None:
    assert {(target.dialect, target.kind) for target in TARGETS} >= {
        (name, kind) for name in held.SPOKEN for kind in ("asks", "answers", "streams")
    }
    assert {target.name for target in TARGETS} >= {"JSON bodies", "frames", "event streams"}
    assert {data[0] for data in INPUTS} == set(range(len(TARGETS)))


@pytest.mark.parametrize("number", range(len(TARGETS)), ids=[target.name for target in TARGETS])
def test_a_target_holds_what_it_begins_with_and_mutants_of_it(number: int) -> None:
    dice = random.Random(number)
    own = [data for data in INPUTS if data[0] == number]
    for data in own:
        TARGETS[number].hold(data[1:])
        made = spoiled(data, dice)
        if made is not None:
            assert made[0] == number
            TARGETS[number].hold(made[1:])


def test_bytes_are_held_too() -> None:
    dice = random.Random(1)
    for target in TARGETS:
        for size in (0, 1, 7, 90):
            target.hold(dice.randbytes(size))
