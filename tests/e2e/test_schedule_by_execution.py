"""The analytic schedule holds when boards execute it: a bounded part of benchmarks/schedule_fidelity.py."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import get_args

import pytest

from crest.targets import CoreName, load_target

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
CYCLES_PCT, ENERGY_PCT = 0.1, 0.5


@pytest.fixture(scope="module")
def comparisons():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        fidelity = importlib.import_module("schedule_fidelity")
        yield list(fidelity.compare(fidelity.network(seed=1), windows=2, quick=True))


def test_every_core_runs_in_both_states_and_misses_deadlines(comparisons):
    assert {load_target(one.target).core for one in comparisons} == set(get_args(CoreName))
    assert {one.record.sleep for one in comparisons} == {"sleep", "deep_sleep"}
    assert {one.record.missed for one in comparisons} == {0, 2}


def test_cycles_agree(comparisons):
    assert {one.target: one.cycles_error_pct for one in comparisons if abs(one.cycles_error_pct) > CYCLES_PCT} == {}


def test_energy_agrees_where_windows_are_met(comparisons):
    met = [one for one in comparisons if not one.record.missed]
    assert {one.target: one.energy_error_pct for one in met if abs(one.energy_error_pct) > ENERGY_PCT} == {}


def test_a_board_that_misses_every_deadline_runs_without_a_pause_after_its_first_wake_up(comparisons):
    missed = [one for one in comparisons if one.record.missed]
    assert missed
    for one in missed:
        states = one.states.between(one.schedule)
        running_uj = one.record.windows * one.latency_ms.value * one.states.run_power_uw.value * 1e-3
        expected_uj = running_uj + one.record.wake_ups * states.wake_up_energy_uj.value
        assert one.record.wake_ups <= 1 and one.record.time_ms(one.record.sleep) == 0
        assert one.record.energy_uj(one.states).value == pytest.approx(expected_uj, rel=ENERGY_PCT / 100)


def test_deadlines_are_missed_where_they_should_be(comparisons):
    assert [one.target for one in comparisons if not one.deadlines_agree] == []


def test_the_last_release_is_within_a_count_of_the_timer(comparisons):
    for one in comparisons:
        if not one.record.missed:
            span_ms = one.record.windows * one.record.period_ms
            assert one.record.duration_ms == pytest.approx(span_ms, abs=1.5e3 / one.record.timer_hz), one.target
