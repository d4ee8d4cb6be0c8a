"""Currents from published runs: a fit that finds what made the runs, and leaves out what it says it leaves out."""

from __future__ import annotations

import pytest

from crest.energy.fitting import Run, fit_currents, leave_programs_out, leave_systems_out
from crest.errors import AssetError

FACTOR = 0.9


def run(board: str, system: str, program: str, current_ma: float) -> Run:
    return Run(board, system, program, 1.0 if program == "dense" else 0.0, current_ma)


def systems(board: str, currents_ma: list[float]) -> list[Run]:
    return [
        one
        for number, current in enumerate(currents_ma)
        for one in (
            run(board, f"{board} {number}", "conv", current),
            run(board, f"{board} {number}", "dense", current * FACTOR),
        )
    ]


def test_it_finds_the_currents_and_the_factor_that_made_the_runs() -> None:
    fit = fit_currents(systems("a", [20, 20, 20]) + systems("b", [50, 50]))
    assert fit.dense_factor == pytest.approx(FACTOR)
    assert fit.current_ma == {"a": pytest.approx(20), "b": pytest.approx(50)}
    assert fit.predict_ma(run("a", "new", "dense", 1)) == pytest.approx(18)


def test_one_odd_system_does_not_move_a_board() -> None:
    assert fit_currents(systems("a", [20, 20, 20, 20, 90])).current_ma["a"] == pytest.approx(20)


def test_a_system_is_predicted_by_the_others_alone() -> None:
    ratios = leave_systems_out(systems("a", [10, 20, 40]))
    by_number = {one.system: ratio for one, ratio in ratios.items()}
    assert by_number["a 1"] == pytest.approx(1)  # the median, in logarithms, of 10 and 40 is 20
    assert by_number["a 2"] == pytest.approx(40 / (10 * 20) ** 0.5)
    assert leave_systems_out(systems("a", [10, 20]) + systems("alone", [30])).keys() == set(systems("a", [10, 20]))


def test_a_network_is_predicted_by_the_others_of_its_system() -> None:
    runs = systems("a", [10, 20, 40])
    assert list(leave_programs_out(runs).values()) == [pytest.approx(1)] * 6
    lonely = [*runs, run("a", "lonely", "conv", 33)]
    assert lonely[-1] not in leave_programs_out(lonely)


def test_without_both_kinds_of_networks_the_factor_is_one() -> None:
    assert fit_currents([run("a", "x", "conv", 3), run("a", "y", "dense", 4)]).dense_factor == 1


def test_a_board_that_was_not_fitted_is_an_error() -> None:
    with pytest.raises(AssetError, match="no run on c is left"):
        fit_currents(systems("a", [10])).predict_ma(run("c", "x", "conv", 1))
