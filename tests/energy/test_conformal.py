"""Intervals from grouped errors: what they promise, and that they keep it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crest.energy.conformal import coverage_bounds, grouped_quantile, relative_error


def test_with_one_row_a_group_it_is_the_ordinary_conformal_quantile() -> None:
    scores = np.arange(1, 20.0)
    assert grouped_quantile([[s] for s in scores], 0.9) == 18  # the ceil(0.9 * 20)-th of 19
    assert grouped_quantile([[s] for s in scores[:9]], 0.9) == 9
    assert grouped_quantile([[s] for s in scores[:8]], 0.9) is None
    assert grouped_quantile([], 0.9) is None


def test_a_group_weighs_the_same_however_many_rows_it_has() -> None:
    groups = [[1.0]] * 9 + [[5.0]]
    heavy = [[1.0]] * 9 + [[5.0] * 1000]
    assert grouped_quantile(groups, 0.8) == grouped_quantile(heavy, 0.8) == 1.0
    assert grouped_quantile(groups, 0.9) == grouped_quantile(heavy, 0.9) == 5.0


@given(st.lists(st.lists(st.floats(0, 10), min_size=1, max_size=4), min_size=10, max_size=25), st.floats(0.05, 0.85))
def test_a_higher_coverage_is_never_narrower(groups: list[list[float]], coverage: float) -> None:
    lower, higher = grouped_quantile(groups, coverage), grouped_quantile(groups, coverage + 0.05)
    assert lower is not None and higher is not None and lower <= higher


def test_it_covers_rows_of_groups_it_has_not_seen() -> None:
    """Groups err together by 10 %, rows by 3 %: what ignores the groups would promise too much."""
    rng = np.random.default_rng(5)
    covered = 0
    trials = 2000
    for _ in range(trials):
        shifts = rng.normal(0, 0.10, 18)
        ratios = np.exp(shifts[:, None] + rng.normal(0, 0.03, (18, 2)))
        error = relative_error(dict(enumerate(ratios[1:].tolist())), 0.9, "simulated")
        assert error is not None
        covered += error.low <= ratios[0, 0] <= error.high
    low, high = coverage_bounds(covered, trials)
    assert high >= 0.9, f"{covered / trials:.1%} of the rows are covered"
    assert low <= 0.97, "an interval that always covers says nothing"


def test_an_interval_is_even_in_the_logarithm() -> None:
    ratios = {str(number): [1.0 + number / 100, 1.0] for number in range(20)}
    error = relative_error(ratios, 0.9, "why")
    assert error is not None and error.low * error.high == pytest.approx(1) and error.confidence == 0.9
    assert relative_error({"one": [1.1]}, 0.9, "why") is None


def test_bounds_of_a_coverage_are_clopper_pearson() -> None:
    low, high = coverage_bounds(18, 20)
    assert (low, high) == (pytest.approx(0.6830, abs=1e-4), pytest.approx(0.9877, abs=1e-4))


@pytest.mark.parametrize("groups", [[[1.0], []], [[float("nan")]], [[-1.0]]], ids=["empty", "nan", "negative"])
def test_scores_that_are_none_are_refused(groups: list[list[float]]) -> None:
    with pytest.raises(ValueError, match=r"a group without rows|a score below zero"):
        grouped_quantile(groups, 0.5)
    with pytest.raises(ValueError, match="no coverage"):
        grouped_quantile([[1.0]], 1.0)


@pytest.mark.parametrize("ratio", [0.0, -1.0, float("nan"), float("inf"), 200.0])
def test_ratios_that_make_no_interval_are_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match="true over predicted is"):
        relative_error({number: [ratio] for number in range(20)}, 0.9, "why")
