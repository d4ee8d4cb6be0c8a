"""What a calibrated model claims of programs, rest states and other clocks: never more than the rows tell."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from crest.calibrate.fit import Term, fit_rows
from crest.calibrate.models import Calibration, Comparison, calibrate
from crest.calibrate.rows import Origin, PowerRow, ProbeRun
from crest.energy import EnergyModel, load_energy_model
from crest.errors import CalibrationError
from crest.targets import Target, load_target

ORIGIN = Origin("bench.csv", "mcu_rail", 3.0, 25.0)


@pytest.fixture(scope="module")
def target() -> Target:
    return load_target("nano33ble")


def programs(networks: int, spread: float, seed: int = 0, probes: int = 20) -> list[PowerRow]:
    """Networks that each draw their own part more or less than what the clock does, and probes that do not."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(probes + networks):
        group = "probe" if number < probes else "network"
        run = ProbeRun(
            name=f"{group}{number}", group=group, clock_mhz=64, fetch_region="flash",
            counts={"instructions": 1000}, run_ms=float(rng.uniform(1, 20)), sleep=None,
        )  # fmt: skip
        part = spread * rng.standard_normal() if group == "network" else 0.002 * rng.standard_normal()
        rows.append(PowerRow(run=run, energy_uj=12 * run.run_ms * (1 + part)))
    return rows


def asleep(rows: list[PowerRow], name: str, power_uw: float, **changes: Any) -> list[PowerRow]:
    """The rows, and probes that sleep in a state."""
    added = []
    for sleep_ms in (4.0, 64.0, 4096.0):
        changed = {"name": f"{name}{sleep_ms:g}", "sleep": name, "sleep_ms": sleep_ms, "wake_ups": 1, "run_ms": 1.0}
        run = rows[0].run.model_copy(update=changed | changes)
        added.append(PowerRow(run=run, energy_uj=12 + power_uw * sleep_ms * 1e-3 + 0.1))
    return [*rows, *added]


@pytest.mark.parametrize("networks", [0, 1, 8])
def test_too_few_networks_give_a_declared_interval(target: Target, networks: int) -> None:
    calibration = calibrate(programs(networks, 0.05), target, ORIGIN, load_energy_model(target))
    error = calibration.model.candidate_error
    assert error is not None and error == calibration.model.run[0].power_error
    assert error.low <= 0.86 and error.high >= 1.16 and error.confidence == 0.9 and error.reason.startswith("declared")
    assert any("9 networks give a measured one" in note for note in calibration.notes)
    assert calibrate(programs(9, 0.05), target, ORIGIN, None).notes == ()


def test_a_declared_interval_holds_the_errors_seen_and_that_of_the_model_before(target: Target) -> None:
    rows = programs(4, 0.0)
    rows[-1] = rows[-1].model_copy(update={"energy_uj": 1.5 * rows[-1].energy_uj})
    error = calibrate(rows, target, ORIGIN, None).model.candidate_error
    assert error is not None and error.low == 0.86 and error.high == pytest.approx(1.5, rel=0.01)
    before = load_energy_model(target)
    assert before.candidate_error is not None
    wide = before.model_copy(update={"candidate_error": before.candidate_error.model_copy(update={"low": 0.5})})
    error = calibrate(programs(4, 0.0), target, ORIGIN, wide).model.candidate_error
    assert error is not None and (error.low, error.high) == (0.5, 1.16)


def test_unseen_programs_lie_inside_with_few_networks(target: Target) -> None:
    """Programs differ by 5 %: the standard error of the fit, a few per mille, would hold few of them."""
    inside = total = 0
    for seed in range(10):
        model = calibrate(programs(4, 0.05, seed), target, ORIGIN, None).model
        power = model.states(64, "flash", 3.0).run_power_uw
        assert power.low is not None and power.high is not None
        for row in programs(20, 0.05, 100 + seed, probes=0):
            inside += power.low <= row.energy_uj / row.run.run_ms * 1e3 <= power.high
            total += 1
    assert inside / total >= 0.9


def test_a_coefficient_at_zero_has_an_upper_end(target: Target) -> None:
    """Wake-ups seem to give energy back: the fit holds them at zero, and cannot know that it is zero."""
    rows = asleep(programs(10, 0.01), "sleep", 1800.0)
    rows[-3:] = [row.model_copy(update={"energy_uj": row.energy_uj - 0.6}) for row in rows[-3:]]
    term = Term("wake_up", "sleep", 64.0)
    value, low, high = fit_rows(rows, ["flash", "ram"]).interval(term)
    assert value == low == 0 and high > 0.01
    (rest,) = calibrate(rows, target, ORIGIN, load_energy_model(target)).model.sleep
    assert rest.wake_up_energy_uj.low == 0 and rest.wake_up_energy_uj.high == pytest.approx(high, rel=1e-5)
    assert "at that bound" in rest.wake_up_energy_uj.reason


def test_a_rest_power_of_zero_is_not_modelled(target: Target) -> None:
    rows = asleep(programs(10, 0.001), "sleep", 0.0)
    rows[-1] = rows[-1].model_copy(update={"energy_uj": 0.9 * rows[-1].energy_uj})
    model = calibrate(rows, target, ORIGIN, load_energy_model(target)).model
    assert not model.sleep and "its power at 64 MHz vanishes" in model.not_modelled["sleep"]


def test_probes_that_slept_without_wake_ups_are_told_so(target: Target) -> None:
    model = calibrate(
        asleep(programs(10, 0.01), "sleep", 1800.0, wake_ups=0), target, ORIGIN, load_energy_model(target)
    ).model
    assert "the rows have no wake_ups" in model.not_modelled["sleep"]
    assert "no probe slept" in model.not_modelled["deep_sleep"]


def test_one_period_does_not_tell_power_and_wake_ups_apart(target: Target) -> None:
    rows = asleep(programs(10, 0.01), "sleep", 1800.0)[:-2]
    model = calibrate(rows, target, ORIGIN, load_energy_model(target)).model
    assert not model.sleep and "one period of sleep" in model.not_modelled["sleep"]
    fit = fit_rows(rows, ["flash", "ram"])
    _, _, high = fit.interval(Term("wake_up", "sleep", 64.0))
    assert high >= 1800.0 * 4e-3


def calibrated_twice(target: Target, **changes: Any) -> tuple[EnergyModel, Calibration]:
    """A model of 32 MHz, changed, and a calibration at 64 MHz that would replace it."""
    slow = [
        row.model_copy(update={"run": row.run.model_copy(update={"clock_mhz": 32.0})}) for row in programs(10, 0.02)
    ]
    before = calibrate(slow, target, ORIGIN._replace(identity="slow.csv"), None).model
    before = EnergyModel(**{**dict(before), **changes})
    return before, calibrate(programs(10, 0.01), target, ORIGIN, before)


def test_run_states_that_were_not_measured_stay(target: Target) -> None:
    before, calibration = calibrated_twice(target)
    model = calibration.model
    assert model.run[1:] == before.run and model.run[0].clock_mhz == 64
    assert model.candidate_error is not None and before.candidate_error is not None
    assert model.candidate_error.high >= before.candidate_error.high
    assert any("kept from the model before it: 32 MHz from flash" in note for note in calibration.notes)
    assert isinstance(calibration.comparison, str) and before.identity in (model.data or "")


def test_states_of_a_datasheet_stay_those_of_a_datasheet() -> None:
    """One clock of three is measured, asleep too: each of the others keeps its currents."""
    board = load_target("nucleo-g0b1re")
    before, rows = load_energy_model(board), []
    for row in asleep(programs(10, 0.02), "sleep", 1800.0):
        rows.append(row.model_copy(update={"energy_uj": 2 * row.energy_uj}))
    calibration = calibrate(rows, board, ORIGIN._replace(supply_volt=board.supply.volt), before)
    model = calibration.model
    assert [(state.clock_mhz, state.power_error is None) for state in model.run] == [
        (64, False),
        (32, True),
        (16, True),
    ]
    assert {rest.clock_mhz: rest.current_ua.kind for rest in model.sleep} == {
        64: "fit",
        32: "datasheet",
        16: "datasheet",
    }
    assert any("holds from 1.8 to 3.6 V, the new one 3.3 V" in note for note in calibration.notes)


def test_run_states_that_would_change_are_lost_aloud(target: Target) -> None:
    coefficient = load_energy_model(target).run[0].current_ua
    _, calibration = calibrated_twice(target, event_energy_pj={"smlad": coefficient})
    assert [state.clock_mhz for state in calibration.model.run] == [64]
    assert any("does not know 32 MHz from flash" in note for note in calibration.notes)


def test_the_same_measurements_are_not_compared(target: Target) -> None:
    rows = programs(10, 0.02)
    before = calibrate(rows, target, ORIGIN, None).model
    for identity in ("bench.csv", "a copy.csv"):
        again = calibrate(rows, target, ORIGIN._replace(identity=identity), before)
        assert isinstance(again.comparison, str) and "these very measurements" in again.comparison
        assert not again.is_worse
    others = calibrate(programs(10, 0.02, seed=1), target, ORIGIN._replace(identity="other.csv"), before)
    assert isinstance(others.comparison, Comparison)


@pytest.mark.parametrize(("error", "is_worse"), [(0.0205, False), (0.0215, False), (0.025, True)])
def test_worse_is_more_than_chance(target: Target, error: float, is_worse: bool) -> None:
    calibration = calibrate(programs(10, 0.02), target, ORIGIN, None)
    assert calibration._replace(comparison=Comparison(10, error, 0.02)).is_worse is is_worse


def test_left_out_rows_without_an_interval_are_an_error(target: Target) -> None:
    rows = programs(12, 0.0)
    rows[-12:] = [row.model_copy(update={"energy_uj": row.energy_uj * 1e4}) for row in rows[-12:]]
    with pytest.raises(CalibrationError, match="off by a factor"):
        calibrate(rows, target, ORIGIN, None)
