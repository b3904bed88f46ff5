"""The mix of the soak hour: every model is one that the simulator knows, and a seed deals the same hand again."""

from __future__ import annotations

import random

import pytest

from halley.simulator.script import read_name
from soak.mix import BILLED_TO_END, MIX, SERVED, Dealer
from soak.watch import slope


@pytest.mark.parametrize("model", [*SERVED, *BILLED_TO_END])
def test_every_model_of_the_mix_is_scripted(model: str) -> None:
    assert read_name(model) is not None


def test_every_kind_has_a_name_of_its_own() -> None:
    assert len({kind.name for kind in MIX}) == len(MIX)


def test_the_same_seed_deals_the_same_hand() -> None:
    def hand() -> list[tuple[str, bytes]]:
        dealer = Dealer(random.Random(5), ("sk-one", "sk-two"))
        return [(kind.name, dealer.write(kind)) for kind in (dealer.deal() for _ in range(500))]

    assert hand() == hand()
    assert len({name for name, _ in hand()}) > 20


def test_growth_is_the_slope_of_a_line_through_the_readings() -> None:
    assert slope([(float(at), 30.0 + 0.5 * at) for at in range(100)]) == pytest.approx(0.5)
    assert slope([(float(at), 30.0 + (at % 2)) for at in range(101)]) == pytest.approx(0.0, abs=1e-3)
    assert slope([(1.0, 5.0)]) == 0.0
