"""The energy models that ship: every target at each of its clocks, against the tables that their sources name."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from crest.assets import asset_path
from crest.energy import EnergyModel, Work, load_energy_model
from crest.energy.loading import load_energy_models
from crest.energy.model import Coefficient
from crest.targets import Target, load_target, target_names

# How a source names a row of the table: [mcu; supply; fetch; core voltage; mode; oscillator; clock].
ROW = re.compile(r"\[([^;\]]+); ([\d.]+) V; ([^;]+); ([^;]+); ([^;]+); ([^;]+); ([\d.]+) MHz\]")
TIMES = re.compile(r"\] times ([\d.]+)")
WORK = Work(latency_ms=2.0, counts={"instructions": 1000}, macs={})


def regions_of(target: Target) -> list[str]:
    return [target.code_region, *target.fetch_stall_factor_in]


def currents(model: EnergyModel) -> Iterator[tuple[float | None, Coefficient]]:
    """Each current with its clock."""
    yield from ((state.clock_mhz, state.current_ua) for state in model.run if state.current_ua is not None)
    yield from ((rest.clock_mhz, rest.current_ua) for rest in (*model.sleep, *model.deep_sleep))


def every_coefficient(model: EnergyModel) -> Iterator[Coefficient]:
    yield from model.run_coefficients()
    for rest in (*model.sleep, *model.deep_sleep):
        yield from (rest.current_ua, rest.wake_up_latency_us, rest.wake_up_energy_uj)


def test_every_target_has_a_model_and_every_model_a_target() -> None:
    assert sorted(path.stem for path in asset_path("energy_models").glob("*.yaml")) == sorted(target_names())


@pytest.mark.parametrize("name", target_names())
def test_every_target_has_its_power_at_each_clock_wherever_code_may_lie(name: str) -> None:
    target = load_target(name)
    model = load_energy_model(target)
    for region in regions_of(target):
        for clock_mhz in target.clock_mhz:
            states = model.states(clock_mhz, region, target.supply.volt)
            run, sleep, deep = states.run_power_uw, states.sleep, states.deep_sleep
            assert run.value and run.low and run.high and run.low < run.value < run.high
            assert sleep.power_uw.value and deep.power_uw.value and deep.power_uw.high
            assert deep.power_uw.high < sleep.power_uw.value < run.value
            assert sleep.wake_up_ms.value and deep.wake_up_ms.value and deep.wake_up_energy_uj.value
            assert sleep.wake_up_ms.value < deep.wake_up_ms.value


@pytest.mark.parametrize("name", target_names())
def test_power_grows_with_the_clock_and_by_less_than_it_at_one_core_voltage(name: str) -> None:
    """What a chip draws whatever its clock spreads over more cycles."""
    target = load_target(name)
    model = load_energy_model(target)
    for region in regions_of(target):
        for slow, fast in pairwise(sorted(target.clock_mhz)):
            less, more = (model.states(clock, region, target.supply.volt) for clock in (slow, fast))
            assert less.run_power_uw.value and more.run_power_uw.value
            assert less.run_power_uw.value < more.run_power_uw.value
            assert less.sleep.power_uw.value and more.sleep.power_uw.value
            assert less.sleep.power_uw.value < more.sleep.power_uw.value
            ranges = {model.run_state(clock, region).core_voltage for clock in (slow, fast)}
            if len(ranges) == 1:
                assert less.run_power_uw.value / slow > more.run_power_uw.value / fast


@pytest.mark.parametrize("name", target_names())
def test_every_source_names_its_licence(name: str) -> None:
    for model in load_energy_models(load_target(name)):
        assert model.run
        for coefficient in every_coefficient(model):
            assert "CubeMX" not in coefficient.source or "numbers only" in coefficient.source
            assert "MLPerf" not in coefficient.source or "Apache-2.0" in coefficient.source


def test_the_output_says_on_what_energy_rests() -> None:
    rests = {}
    for name in target_names():
        target = load_target(name)
        notes = load_energy_model(target).notes(max(target.clock_mhz), target.code_region, WORK)
        rests[name] = next((note for note in notes if "nobody has measured networks on this chip" in note), None)
    assert "the datasheet's current" in (rests["nucleo-g0b1re"] or "")
    assert "a declared current" in (rests["rp2040-pico"] or "")
    assert {name for name, note in rests.items() if note is None} == {"nucleo-l4r5zi", "nucleo-h7a3zi"}


@pytest.mark.data
def test_currents_are_those_of_the_rows_that_they_name(data_folder: Path) -> None:
    path = data_folder / "silicon" / "power" / "stm32_pcc_idd_25C.csv"
    if not path.exists():
        pytest.skip(f"no silicon data in {data_folder}")
    idd_ua: dict[tuple[str, float, str, str, str, str, float], set[float]] = {}
    for row in csv.DictReader(path.read_text().splitlines()):
        where = (row["mcu"], float(row["vdd_v"]), row["fetch"], row["vcore_range"], row["mode"])
        key = (*where, row["oscillator"].strip(), float(row["fcpu_hz"]) / 1e6)
        idd_ua.setdefault(key, set()).add(float(row["idd_uA"]))
    compared = 0
    for name in target_names():
        for model in load_energy_models(load_target(name)):
            for clock_mhz, current in currents(model):
                rows = [(*row[:1], float(row[1]), *row[2:6], float(row[6])) for row in ROW.findall(current.source)]
                if not rows:
                    continue
                found = []
                for row in rows:
                    (only,) = idd_ua[row]
                    found.append((row[6], only))
                expected = found[0][1]
                if len(found) == 2:
                    (low_mhz, low), (high_mhz, high) = found
                    assert clock_mhz is not None and low_mhz < clock_mhz < high_mhz and len({r[3] for r in rows}) == 1
                    expected = low + (clock_mhz - low_mhz) / (high_mhz - low_mhz) * (high - low)
                times = TIMES.search(current.source)
                expected *= float(times.group(1)) if times else 1.0
                assert current.value == pytest.approx(expected, rel=2e-3), (name, clock_mhz, current.source)
                assert times is None or current.kind == "declared"
                compared += 1
    assert compared >= 35


@pytest.mark.data
def test_the_published_duty_cycle_comes_from_the_power_states(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (data_folder / "silicon" / "mlperf").is_dir():
        pytest.skip(f"no silicon data in {data_folder}")
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "benchmarks"))
    monkeypatch.setenv("CREST_DATA", str(data_folder))
    from energy_duty_cycle import figures

    found = figures()
    assert found["with_sampling_mw"] == pytest.approx(found["published_mw"], rel=0.15)
    assert found["with_sampling_low_mw"] < found["published_mw"] < found["with_sampling_high_mw"]  # type: ignore[operator]
    assert found["states_mw"] < found["published_mw"]  # type: ignore[operator]
