"""A failed mutation must come again from its seed."""

from __future__ import annotations

import random

from soak.mutations import mutate
from tests.harness import smuggling


def test_the_same_dice_make_the_same_bytes_and_others_do_not() -> None:
    seeds = [case.bytes() for case in smuggling.corpus()]

    def some(seed: int) -> list[bytes]:
        dice = random.Random(seed)
        return [mutate(dice.choice(seeds), dice, seeds) for _ in range(500)]

    assert some(1) == some(1)
    assert some(1) != some(2)
    assert all(some(1))
