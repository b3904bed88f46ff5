"""The arithmetic of a row."""

import pytest

from bench.arithmetic import Rep, charge, cpu_us, figure, percentile
from bench.canned import PRICES


def rep(answers: int, relay: float, control: float = 0.0) -> Rep:
    return Rep(answers, 2.0, {"relay": relay, "control": control}, relay)


def test_cpu_per_answer_is_the_sum_of_all_parts():
    assert cpu_us(rep(10_000, 0.5, 0.1)) == pytest.approx(60.0)


def test_a_figure_is_the_median_of_its_repetitions_and_keeps_the_least():
    made = figure([rep(1000, 0.09, 0.01), rep(2000, 0.10, 0.02), rep(4000, 1.0, 0.2)])
    assert made.per_s == 1000
    assert made.cpu_us == pytest.approx(100.0)
    assert made.cpu_us_least == pytest.approx(60.0)
    assert made.parts == pytest.approx({"relay": 90.0, "control": 10.0})
    assert (made.answers, made.reps) == (7000, 3)


def test_use_of_the_core_counts_only_what_was_spent_while_the_load_ran():
    assert figure([Rep(100, 2.0, {"relay": 3.0}, 1.9)]).use_of_core == pytest.approx(0.95)


@pytest.mark.parametrize(("share", "value"), [(0.0, 1), (0.01, 1), (0.5, 50), (0.501, 51), (0.99, 99), (1.0, 100)])
def test_percentiles_are_nearest_ranks(share: float, value: int):
    assert percentile(list(range(100, 0, -1)), share) == value


def test_a_canned_answer_costs_what_its_three_lines_add_up_to():
    assert charge(57, 16, 200, PRICES) == 41 * 150 + 16 * 75 + 200 * 600
