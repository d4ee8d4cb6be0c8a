"""The command: what it refuses before it measures, and which files it never loses."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from crest.calibrate.bench import SimulatedBench
from crest.calibrate.outputs import Outputs, plan_outputs
from crest.calibrate.rows import PowerRow, ProbeRun
from crest.calibrate.suite import SuiteOptions, SuiteRuns
from crest.calibrate.tables import rows_csv, template_csv
from crest.cli import calibrating
from crest.cli.app import app
from crest.energy import load_energy_model, load_energy_models
from crest.errors import AssetError, CalibrationError, CrestError, MeterError, OutputError, StudyError
from crest.meters import SimulatedMeter
from crest.targets import load_target

EXAMPLE = Path(__file__).parents[2] / "examples" / "calibration" / "simulated-board.energy.yaml"


def run(*words: str) -> tuple[int, str, CrestError | None]:
    """Exit code, what was said, and the error."""
    result = CliRunner().invoke(app, ["calibrate", *words])
    error = result.exception if isinstance(result.exception, CrestError) else None
    assert error is not None or result.exit_code in (0, 2), repr(result.exception)
    return result.exit_code, result.output, error


def network(number: int, rare: int = 0) -> ProbeRun:
    """Floating point of one percent is too rare to be fitted, and draws a lot."""
    return ProbeRun(
        name=f"n{number}", group="network", clock_mhz=64, fetch_region="flash",
        counts={"instructions": 10**8, "fp": rare}, run_ms=10.0 + number, sleep=None,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a table of twelve networks at 15 mW, give or take."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CREST_ENERGY_MODELS", raising=False)
    rows = [PowerRow(run=network(n), energy_uj=(15 + 0.01 * (n % 3)) * (10 + n)) for n in range(12)]
    Path("bench.csv").write_text(rows_csv(rows))
    return tmp_path


@pytest.fixture
def short_suite(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Twelve networks stand for the suite; what was asked to run is listed."""
    asked: list[str] = []

    def found(_target: object, _backend: object, options: SuiteOptions, _tell: object) -> SuiteRuns:
        asked.append(f"{options.networks} networks")
        return SuiteRuns([network(n) for n in range(12)], {})

    monkeypatch.setattr(calibrating, "run_suite", found)
    return asked


def test_files_that_exist_are_kept() -> None:
    assert run("nano33ble", "--from", "bench.csv")[0] == 0
    written = {path: path.read_bytes() for path in Path().iterdir()}
    assert {path.name for path in written} == {
        "bench.csv",
        *(f"nano33ble.energy.{end}" for end in ("yaml", "csv", "png")),
    }
    for kept in ("nano33ble.energy.yaml", "nano33ble.energy.csv", "nano33ble.energy.png"):
        for other in {"nano33ble.energy.yaml", "nano33ble.energy.csv", "nano33ble.energy.png"} - {kept}:
            Path(other).unlink(missing_ok=True)
        error = run("nano33ble", "--from", "bench.csv")[2]
        assert isinstance(error, OutputError) and error.message == f"{kept}: exists" and "--force" in str(error.hint)
        for path, content in written.items():
            path.write_bytes(content)
    assert run("nano33ble", "--from", "bench.csv", "--force")[0] == 0


def test_the_table_that_is_read_is_never_written() -> None:
    before = Path("bench.csv").read_bytes() + b"\n"
    Path("bench.csv").write_bytes(before)
    assert run("nano33ble", "--from", "bench.csv", "-o", "bench.yaml")[0] == 0
    assert run("nano33ble", "--from", "bench.csv", "-o", "bench.yaml", "--force")[0] == 0
    assert Path("bench.csv").read_bytes() == before
    Path("odd.yaml").write_bytes(before)
    error = run("nano33ble", "--from", "odd.yaml", "-o", "odd.yaml", "--force")[2]
    assert isinstance(error, OutputError) and "would be lost" in error.message
    assert Path("odd.yaml").read_bytes() == before


def test_outputs_are_looked_at_before_anything_runs(short_suite: list[str]) -> None:
    Path("taken.yaml").mkdir()
    Path("broken.yaml").write_text("models: [")
    for output, message in (("nowhere/a.yaml", "no such folder"), ("taken.yaml", "is a folder")):
        error = run("nano33ble", "--simulate", str(EXAMPLE), "-o", output)[2]
        assert isinstance(error, OutputError) and message in error.message
    assert isinstance(run("nano33ble", "--simulate", str(EXAMPLE), "-o", "broken.yaml", "--force")[2], AssetError)
    code, said, _ = run("nano33ble", "--simulate", str(EXAMPLE), "-o", "model.csv")
    assert code == 2 and "a model is a .yaml" in said
    assert short_suite == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_is_read_only_is_said(folder: Path) -> None:
    folder.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="nothing can be written there"):
            plan_outputs(folder / "a.yaml", None, False)
    finally:
        folder.chmod(0o700)


def test_a_simulation_keeps_apart_and_its_table_is_one_to_read(short_suite: list[str]) -> None:
    assert run("nano33ble", "--simulate", str(EXAMPLE))[0] == 0
    assert short_suite == ["12 networks"] and not Path("nano33ble.energy.yaml").exists()
    assert run("nano33ble", "--from", "nano33ble.simulated.energy.csv")[0] == 0
    assert load_energy_model(load_target("nano33ble"), path=Path("nano33ble.energy.yaml")).set_up == "calibrated"


def test_rows_of_a_model_that_is_refused_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = SuiteRuns([network(n, 10**6 * (n % 3)) for n in range(12)], {})
    monkeypatch.setattr(calibrating, "run_suite", lambda *_: odd)
    Path("truth").mkdir()
    Path("truth/nano33ble.energy.yaml").write_bytes(EXAMPLE.read_bytes())
    monkeypatch.setenv("CREST_ENERGY_MODELS", "truth")
    command = ("nano33ble", "--simulate", str(EXAMPLE), "--noise", "0")
    for name in ("nano33ble.simulated.energy.refused.csv", "nano33ble.simulated.energy.refused1.csv"):
        error = run(*command)[2]
        assert isinstance(error, CalibrationError) and "not written, it is worse" in error.message
        assert name in str(error.hint) and Path(name).read_text().startswith("name,group")
    code, said, _ = run(*command, "--force")
    assert code == 0 and "written although it is worse" in said


def test_models_at_the_output_and_of_other_supplies_stay() -> None:
    target = load_target("nano33ble")
    for volt in ("1.8", "3.3", "3.0", "3.3"):
        assert run("nano33ble", "--from", "bench.csv", "-o", "mine.yaml", "--volt", volt, "--force")[0] == 0
    kept = [(model.boundary, model.conditions.volt) for model in load_energy_models(target, Path("mine.yaml"))]
    assert kept[0] == ("mcu_rail", (3.3, 3.3))
    assert set(kept[1:]) == {("mcu_rail", (3.0, 3.0)), ("mcu_rail", (1.8, 1.8)), ("whole_board", None)}


@pytest.mark.parametrize(
    "words",
    [("--clock-mhz", "64"), ("--networks", "9"), ("--seed", "1"), ("--noise", "0.1"), ("--toolchain", "gcc")],
    ids=" ".join,
)
def test_options_of_a_simulation_are_refused_beside_a_table(words: tuple[str, str]) -> None:
    code, said, _ = run("nano33ble", "--from", "bench.csv", *words)
    assert code == 2 and "only --simulate" in said


@pytest.mark.parametrize(
    "words",
    [
        ("--temperature-c", "nan"),
        ("--volt", "nan"),
        ("--noise", "nan"),
        ("--drift", "nan"),
        ("--drift", "-0.01"),
        ("--seed", "-1"),
    ],
    ids=" ".join,
)
def test_numbers_that_are_none_are_refused(short_suite: list[str], words: tuple[str, str]) -> None:
    code, _, _ = run("nano33ble", "--simulate", str(EXAMPLE), *words)
    assert code == 2 and short_suite == []


def test_true_coefficients_are_looked_at_before_anything_runs(short_suite: list[str]) -> None:
    error = run("nano33ble", "--simulate", "nowhere.yaml")[2]
    assert isinstance(error, AssetError) and "examples/calibration" in str(error.hint)
    assert isinstance(run("nano33ble", "--simulate", str(EXAMPLE), "--volt", "1.8")[2], AssetError)
    error = run("nano33ble", "--simulate", str(EXAMPLE), "--clock-mhz", "63")[2]
    assert isinstance(error, StudyError) and "no clock of 63 MHz" in error.message
    document = yaml.safe_load(EXAMPLE.read_text())
    document["models"][0]["run"][0]["fetch_region"] = "ram"
    Path("ram.yaml").write_text(yaml.safe_dump(document))
    error = run("nano33ble", "--simulate", "ram.yaml")[2]
    assert isinstance(error, AssetError) and "no run power at 64 MHz from flash" in error.message
    assert short_suite == []
    document = yaml.safe_load(EXAMPLE.read_text())
    document["models"].insert(
        0, document["models"][0] | {"conditions": {"volt": 1.8, "regulator": "dcdc", "temperature_c": 25}}
    )
    Path("two.yaml").write_text(yaml.safe_dump(document))
    assert run("nano33ble", "--simulate", "two.yaml", "--volt", "1.8")[0] == 0


def test_what_too_few_networks_say_is_a_warning() -> None:
    text = Path("bench.csv").read_text().splitlines(keepends=True)
    Path("few.csv").write_text("".join(text[:5]))
    code, said, _ = run("nano33ble", "--from", "few.csv", "-o", "few.yaml", "--force")
    assert code in (0, 16) and "9 networks give a measured one" in said
    Path("template.csv").write_text(template_csv())
    assert isinstance(run("nano33ble", "--from", "template.csv")[2], CalibrationError)


def test_a_name_for_kept_rows_is_a_new_one(folder: Path) -> None:
    outputs = Outputs(folder / "a.yaml", None, folder / "a.png")
    for name in ("a.refused.csv", "a.refused1.csv", "a.refused2.csv"):
        assert outputs.kept_rows.name == name
        outputs.kept_rows.touch()


def test_a_drift_that_hides_the_power_is_an_error() -> None:
    hidden = load_energy_model(load_target("nano33ble"), path=EXAMPLE)
    bench = SimulatedBench(hidden, SimulatedMeter(supply_volt=3.0, drift_per_s=-0.035), 3.0)
    with pytest.raises(MeterError, match=r"sees .* of the power that is there"):
        bench.measure(network(1))
