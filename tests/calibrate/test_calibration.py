"""Calibration: coefficients that nobody told the fit come back, unseen networks are predicted, worse is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from crest.backends.emulated import EmulatedBackend
from crest.calibrate.bench import SimulatedBench
from crest.calibrate.fit import fit_rows, terms_of
from crest.calibrate.models import Origin, calibrate, predicted_energy_uj, write_models
from crest.calibrate.plot import calibration_png
from crest.calibrate.rows import PowerRow, ProbeRun
from crest.calibrate.suite import SuiteOptions, measure_suite, run_suite
from crest.calibrate.tables import read_rows, rows_csv, template_csv
from crest.cli.app import app
from crest.energy import EnergyModel, load_energy_model, load_energy_models, load_power
from crest.errors import CalibrationError, MeterError, OutputError
from crest.meters import SimulatedMeter
from crest.targets import Target, load_target

EVENTS_PJ = {"smlad": 40.0, "load_flash": 60.0, "load_ram": 25.0, "store_ram": 30.0, "fp": 35.0}
RUN_UW, SLEEP_UA, DEEP_UA = 15_000.0, 600.0, 3.0


@pytest.fixture(scope="module")
def target() -> Target:
    return load_target("nano33ble")


def hidden_document(target: Target) -> dict[str, Any]:
    def exactly(value: float) -> dict[str, Any]:
        grounds = {"kind": "declared", "source": "this test", "reason": "hidden from the fit"}
        return {"value": value, "low": value, "high": value, "confidence": 0.9, **grounds}

    def rest(current_ua: float, latency_us: float, energy_uj: float) -> dict[str, Any]:
        return {
            "current_ua": exactly(current_ua),
            "wake_up_latency_us": exactly(latency_us),
            "wake_up_energy_uj": exactly(energy_uj),
        }

    model = {
        "target": target.name,
        "boundary": "mcu_rail",
        "version": 1,
        "covers": "a board that does not exist",
        "conditions": {"volt": target.supply.volt, "regulator": target.supply.regulator, "temperature_c": 25},
        "run": [{"clock_mhz": 64, "fetch_region": "flash", "power_uw": exactly(RUN_UW)}],
        "event_energy_pj": {name: exactly(value) for name, value in EVENTS_PJ.items()},
        "sleep": rest(SLEEP_UA, 2, 0.02),
        "deep_sleep": rest(DEEP_UA, 15, 0.3),
    }
    return {"models": [model]}


def hidden_model(target: Target) -> EnergyModel:
    (model,) = hidden_document(target)["models"]
    return EnergyModel.model_validate(model)


@pytest.fixture(scope="module")
def runs(target: Target) -> list[ProbeRun]:
    """The whole suite, built and executed: 13 rows of probes, 14 of networks."""
    found = run_suite(
        target, EmulatedBackend(), SuiteOptions((64.0,), networks=14, instructions=300_000), lambda _: None
    )
    assert found.left_out == {}
    return found.runs


def measured(runs: list[ProbeRun], target: Target, **errors: float) -> list[PowerRow]:
    meter = SimulatedMeter(supply_volt=3.0, **errors)  # type: ignore[arg-type]
    return measure_suite(runs, SimulatedBench(hidden_model(target), meter, 3.0), lambda _: None)


ORIGIN = Origin("a simulated board", "mcu_rail", 3.0, 25.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "errors",
    [{"noise": 0.01, "drift_per_s": 1e-6}, {"noise": 0.01, "gain_spread": 0.01}],
    ids=["samples", "recordings"],
)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_power_by_state_and_unseen_networks_come_back(
    runs: list[ProbeRun], target: Target, errors: dict[str, float], seed: int
) -> None:
    """1 % noise on each sample, or, harder, on each recording as a whole."""
    rows = measured(runs, target, **errors, seed=seed)
    unseen = [row for row in rows if row.run.name in ("separable9", "dense10", "temporal11", "convolutional12")]
    assert len(unseen) == 4
    model = calibrate([row for row in rows if row not in unseen], target, ORIGIN, hidden_model(target)).model
    states = model.states(64, "flash", 3.0)
    assert states.run_power_uw.value == pytest.approx(RUN_UW, rel=0.02)
    assert states.sleep.power_uw.value == pytest.approx(3 * SLEEP_UA, rel=0.02)
    assert states.deep_sleep.power_uw.value == pytest.approx(3 * DEEP_UA, rel=0.02)
    truth = SimulatedBench(hidden_model(target), SimulatedMeter(), 3.0)
    for row in unseen:
        assert predicted_energy_uj(model, row, 3.0) == pytest.approx(truth.measure(row.run).energy_uj, rel=0.03)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "clock_mhz"), [("nucleo-g0b1re", 16.0), ("nucleo-l4r5zi", 80.0), ("disco-f746ng", 108.0)]
)
def test_boards_of_every_core_come_back(name: str, clock_mhz: float) -> None:
    """A Cortex-M0+, M4 and M7 with what their own models say, and events on top: every region that code runs from."""
    board = load_target(name)
    options = SuiteOptions((clock_mhz,), networks=12, instructions=200_000)
    runs = run_suite(board, EmulatedBackend(), options, lambda _: None).runs
    shipped, volt = load_energy_model(board), board.supply.volt
    hidden = shipped.model_dump(mode="json", exclude_defaults=True) | {"event_energy_pj": {}}
    hidden["conditions"]["volt"] = volt
    for region in board.regions:
        picojoules = 60.0 if region.kind == "flash" else 25.0
        grounds = {"low": picojoules, "high": picojoules, "confidence": 0.9, "kind": "declared", "source": "this test"}
        hidden["event_energy_pj"][f"load_{region.name}"] = {"value": picojoules, "reason": "hidden", **grounds}
    truth = EnergyModel.model_validate(hidden)
    meter = SimulatedMeter(supply_volt=volt, noise=0.01, gain_spread=0.01)
    rows = measure_suite(runs, SimulatedBench(truth, meter, volt), lambda _: None)
    unseen = [row for row in rows if row.run.name in ("convolutional8", "separable9", "dense10", "temporal11")]
    origin = Origin("a simulated board", shipped.boundary, volt)
    model = calibrate([row for row in rows if row not in unseen], board, origin, shipped).model
    for region in {run.fetch_region for run in runs}:
        found, real = (each.states(clock_mhz, region, volt) for each in (model, truth))
        assert found.run_power_uw.value == pytest.approx(real.run_power_uw.value, rel=0.02), region
        assert found.sleep.power_uw.value == pytest.approx(real.sleep.power_uw.value, rel=0.02)
        assert found.deep_sleep.power_uw.value == pytest.approx(real.deep_sleep.power_uw.value, rel=0.02)
    exact = SimulatedBench(truth, SimulatedMeter(), volt)
    for row in unseen:
        assert predicted_energy_uj(model, row, volt) == pytest.approx(exact.measure(row.run).energy_uj, rel=0.03)


@pytest.mark.slow
def test_a_written_model_is_read_again_and_says_what_it_is(
    runs: list[ProbeRun], target: Target, tmp_path: Path
) -> None:
    rows = measured(runs, target, noise=0.01, gain_spread=0.002)
    replaced = load_energy_model(target)
    calibration = calibrate(rows, target, ORIGIN, replaced)
    beside = calibration.comparison
    assert beside is not None and beside.error == calibration.error < 0.01 < beside.replaced_error
    assert not calibration.is_worse and beside.rows == len(calibration.left_out) == 14
    path = tmp_path / "nano33ble.energy.yaml"
    write_models(calibration, [replaced, load_energy_model(target, "whole_board")], path)
    model = load_energy_model(target, path=path)
    assert model == calibration.model
    assert load_energy_model(target, "whole_board", path).boundary == "whole_board"
    assert (model.set_up, model.version) == ("calibrated", replaced.version + 1)
    error = model.run[0].power_error
    assert error is not None and 0.97 < error.low < 1 < error.high < 1.03
    for name, energy_pj in EVENTS_PJ.items():
        coefficient = model.event_energy_pj[name]
        assert coefficient.low < energy_pj < coefficient.high or abs(coefficient.value / energy_pj - 1) < 0.1, name
    assert calibration_png(calibration, rows, "title").startswith(b"\x89PNG")
    worse = calibrate(measured(runs, target), target, ORIGIN, hidden_model(target))
    assert worse.is_worse and worse.comparison is not None
    assert worse.comparison.replaced_error < worse.comparison.error == worse.error


def synthetic_rows(count: int = 12, seed: int = 0) -> list[PowerRow]:
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        counts = {"instructions": 1000, "smlad": int(rng.integers(0, 500)), "load_ram": int(rng.integers(0, 500))}
        run = ProbeRun(
            name=f"n{number}", group="network" if number % 2 else "probe", clock_mhz=64, fetch_region="flash",
            counts=counts, run_ms=float(rng.uniform(0.01, 0.1)), sleep=None,
        )  # fmt: skip
        energy_uj = 1000 * run.run_ms * 1e-3 + (counts["smlad"] * 40 + counts["load_ram"] * 20) * 1e-6
        rows.append(PowerRow(run=run, energy_uj=energy_uj))
    return rows


def test_without_noise_the_fit_is_exact_and_never_below_zero() -> None:
    fit = fit_rows(synthetic_rows(), ["flash", "ram"])
    found = {term.name: value for term, value in zip(fit.terms, fit.values.tolist(), strict=True)}
    assert found == pytest.approx({"flash": 1000, "smlad": 40, "load_ram": 20}, rel=1e-3)
    noisy = [row.model_copy(update={"energy_uj": row.run.run_ms}) for row in synthetic_rows()]
    assert (fit_rows(noisy, ["flash", "ram"]).values >= 0).all()


def two_clocks(part: float) -> list[PowerRow]:
    """Ten networks at two clocks, each that part above what the fit can say at one, and below it at the other."""
    rows = []
    for number in range(10):
        for clock_mhz, sign in ((32.0, 1), (64.0, -1)):
            run = ProbeRun(
                name=f"n{number}", group="network", clock_mhz=clock_mhz, fetch_region="flash",
                counts={"instructions": 1000}, run_ms=640 / clock_mhz, sleep=None,
            )  # fmt: skip
            error = 1 + part * sign * (1 if number % 2 else -1)
            rows.append(PowerRow(run=run, energy_uj=error * run.run_ms * clock_mhz))
    return rows


def test_errors_at_two_clocks_do_not_cancel(target: Target) -> None:
    rows = two_clocks(0.10)
    calibration = calibrate(rows, target, ORIGIN, None)
    assert sorted(calibration.left_out) == list(range(20)) and calibration.comparison is None
    assert 0.09 < calibration.error < 0.13
    interval = calibration.model.run[0].power_error
    assert interval is not None and interval.low < 0.91 and interval.high > 1.09
    assert "10 networks" in (calibration.model.residual or "")


@pytest.mark.parametrize(("power_uw", "is_worse"), [(64_000.0, True), (80_000.0, False)])
def test_a_model_that_covers_some_rows_is_compared_on_those(target: Target, power_uw: float, is_worse: bool) -> None:
    """It knows one of the two clocks: in the middle of what was measured, where no fit of fewer rows is, or far off."""
    rows = two_clocks(0.05)
    known = hidden_document(target)["models"][0] | {"event_energy_pj": {}}
    known["run"][0]["power_uw"] |= {"value": power_uw, "low": power_uw, "high": power_uw}
    calibration = calibrate(rows, target, ORIGIN, EnergyModel.model_validate(known))
    beside = calibration.comparison
    assert beside is not None and beside.rows == 10 and len(calibration.left_out) == 20
    at_64 = [n for n, row in enumerate(rows) if row.run.clock_mhz == 64]
    assert beside.error == pytest.approx(np.median([abs(1 / calibration.left_out[n] - 1) for n in at_64]))
    assert calibration.is_worse is is_worse
    known["run"][0]["fetch_region"] = "ram"
    elsewhere = calibrate(rows, target, ORIGIN, EnergyModel.model_validate(known))
    assert elsewhere.comparison is None and not elsewhere.is_worse


def test_models_of_other_supplies_and_boundaries_stay(target: Target, tmp_path: Path) -> None:
    rows = synthetic_rows()
    path = tmp_path / "nano33ble.energy.yaml"
    first = calibrate(rows, target, ORIGIN._replace(supply_volt=1.8), None)
    write_models(first, (), path)
    board = calibrate(rows, target, ORIGIN._replace(boundary="whole_board"), None)
    write_models(board, load_energy_models(target, path), path)
    for _ in range(2):
        write_models(calibrate(rows, target, ORIGIN, None), load_energy_models(target, path), path)
    kept = [(model.boundary, model.conditions.volt) for model in load_energy_models(target, path)]
    assert kept == [("mcu_rail", (3.0, 3.0)), ("whole_board", (3.0, 3.0)), ("mcu_rail", (1.8, 1.8))]


def test_a_table_without_counts_gives_power_by_state(target: Target, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    asleep = [f"s{n},probe,64,flash,1,sleep,{ms},1,{15 + 1.8 * ms + 0.02}" for n, ms in enumerate((4, 64, 4096))]
    awake = [f"n{n},network,64,flash,{10 + n},,,,{150 + 15 * n}" for n in range(10)]
    head = "name,group,clock_mhz,fetch_region,run_ms,sleep,sleep_ms,wake_ups,energy_uj"
    path.write_text("\n".join([head, *asleep, *awake]) + "\n")
    model = calibrate(read_rows(path, target), target, ORIGIN, load_energy_model(target)).model
    states = model.states(64, "flash", 3.0)
    assert states.run_power_uw.value == pytest.approx(15_000) and not model.event_energy_pj
    assert states.sleep.power_uw.value == pytest.approx(1800)
    assert "not measured" in (states.deep_sleep.power_uw.reason or "")


def test_an_event_that_hardly_happens_is_not_fitted() -> None:
    rows = synthetic_rows()
    rare = rows[0].run.model_copy(update={"counts": {**rows[0].run.counts, "fp": 20}})
    names = {term.name for term in terms_of([rows[0].model_copy(update={"run": rare}), *rows[1:]], ["flash", "ram"])}
    assert names == {"flash", "smlad", "load_ram"}


def test_too_few_rows_are_an_error() -> None:
    with pytest.raises(CalibrationError, match="2 rows for 3 coefficients"):
        fit_rows(synthetic_rows(2), ["flash", "ram"])


def test_measurements_that_make_no_board_are_an_error(target: Target) -> None:
    """Asleep it draws more than running: times and energies cannot be what they say."""
    rows = synthetic_rows()
    asleep = rows[0].run.model_copy(update={"sleep": "sleep", "sleep_ms": 100.0, "wake_ups": 1})
    rows += [
        PowerRow(run=asleep.model_copy(update={"name": f"s{n}", "sleep_ms": 100.0 * n}), energy_uj=9e4 * n)
        for n in (1, 2, 3)
    ]
    with pytest.raises(CalibrationError, match=r"make no energy model: .*more than running"):
        calibrate(rows, target, ORIGIN, load_energy_model(target))


def test_a_meter_that_sees_nothing_is_an_error(target: Target) -> None:
    with pytest.raises(MeterError, match="n0: the meter sees no power"):
        measured([synthetic_rows(1)[0].run], target, offset_uw=-1e6)


def test_a_model_where_no_file_can_be_is_an_error(target: Target, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        write_models(calibrate(synthetic_rows(), target, ORIGIN, None), (), tmp_path)


def test_a_table_comes_back_as_it_was_written(target: Target, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(template_csv())
    rows = read_rows(path, target)
    assert [row.run.name for row in rows] == ["spin", "sleep_40ms", "my-network"]
    assert rows[1].run.sleep == "deep_sleep" and rows[2].run.macs_by_operator["CONV_2D"] == 180_000
    path.write_text(rows_csv(rows))
    assert read_rows(path, target) == rows


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: "", "no column name"),
        (lambda text: text.splitlines()[0] + "\n", "no measurements below the header"),
        (lambda text: text.replace("energy_uj", "energy_mj"), "no column energy_uj"),
        (lambda text: text.replace("count.smlad", "count.smald"), "line 1: column 'count.smald' is not known"),
        (lambda text: text.replace("240.0", "lots"), "line 2, column energy_uj"),
        (lambda text: text.replace("240.0", "-1"), "line 2, column energy_uj"),
        (lambda text: text.replace("240.0", "nan"), "line 2, column energy_uj"),
        (lambda text: text.replace(",20.0,,0,0,240.0", ",nan,,0,0,240.0"), "line 2, column run_ms"),
        (lambda text: text.replace(",20.0,,0,0,240.0", ",0,,0,0,240.0"), "line 2, column run_ms"),
        (lambda text: text.replace(",20.0,,0,0,240.0", ",20.0,,15,0,240.0"), "line 2: sleep_ms or wake_ups, and no"),
        (lambda text: text.replace("deep_sleep,20.0", "deep_sleep,0"), "line 3: deep_sleep for no time"),
        (lambda text: text.replace("110000", "-1"), "line 4, column count.load_flash"),
        (lambda text: text.replace("180000", "many"), "line 4, column macs.CONV_2D"),
        (lambda text: text.replace("deep_sleep", "nap"), "line 3, column sleep"),
        (lambda text: text.replace("network,64.0", "network,63"), "line 4, column clock_mhz"),
        (lambda text: text.replace("my-network,network,64.0,flash", "my-network,network,64.0,rom"), "fetch_region"),
        (lambda text: text.replace(",20.0,,0,0,240.0", ",20.0,,0,0,240.0,1,1,1,1,1,1,1,1"), "more cells"),
        (lambda text: text + "short,probe\n", "line 5: fewer cells"),
    ],
)
def test_a_bad_table_names_the_place(target: Target, tmp_path: Path, change: Any, message: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(change(template_csv()))
    with pytest.raises(CalibrationError) as caught:
        read_rows(path, target)
    assert message in caught.value.message and str(path) in caught.value.message


@pytest.mark.slow
def test_the_command_measures_fits_writes_and_refuses(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("hidden.energy.yaml").write_text(yaml.safe_dump(hidden_document(target)))
    command = ["calibrate", "nano33ble", "--simulate", "hidden.energy.yaml", "--networks", "9"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    for name in ("nano33ble.energy.yaml", "nano33ble.energy.csv", "nano33ble.energy.png"):
        assert Path(name).stat().st_size > 500
    monkeypatch.setenv("CREST_ENERGY_MODELS", str(tmp_path))
    assert load_power(target, 64).model.startswith("nano33ble/mcu_rail v2 (3 V dcdc)")
    written, table = Path("nano33ble.energy.yaml").read_bytes(), Path("nano33ble.energy.csv").read_bytes()
    Path("truth").mkdir()
    Path("truth/nano33ble.energy.yaml").write_text(yaml.safe_dump(hidden_document(target)))
    monkeypatch.setenv("CREST_ENERGY_MODELS", "truth")
    refused = CliRunner().invoke(app, [*command, "--noise", "0", "-o", "nano33ble.energy.yaml"])
    assert isinstance(refused.exception, CalibrationError) and "not written" in refused.exception.message
    assert Path("nano33ble.energy.yaml").read_bytes() == written and Path("nano33ble.energy.csv").read_bytes() == table
    assert read_rows(Path("nano33ble.energy.refused.csv"), target)
    again = ["calibrate", "nano33ble", "--from", "nano33ble.energy.csv", "-o", "again.yaml"]
    assert CliRunner().invoke(app, [*again, "--force"]).exit_code == 0
    assert load_energy_model(target, path=Path("again.yaml")).set_up == "calibrated"
    whole = [*again[:-1], "whole.yaml", "--boundary", "whole_board", "--force"]
    assert CliRunner().invoke(app, whole).exit_code == 0
    assert load_energy_model(target, "whole_board", Path("whole.yaml")).set_up == "calibrated"


def test_the_command_asks_for_what_it_needs() -> None:
    assert "count.instructions" in CliRunner().invoke(app, ["calibrate", "--template"]).output
    nothing = CliRunner().invoke(app, ["calibrate", "nano33ble"])
    assert nothing.exit_code == 2 and "--simulate" in nothing.output
    assert CliRunner().invoke(app, ["calibrate"]).exit_code == 2
    table = CliRunner().invoke(app, ["calibrate", "nano33ble", "--from", "rows.csv", "-o", "rows.csv"])
    assert table.exit_code == 2 and "a model is a .yaml" in table.output
