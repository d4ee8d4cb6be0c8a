"""`crest schedule` and the schedule options of `crest measure`: what they print, write and refuse."""

from __future__ import annotations

import json

import pytest
import yaml
from typer.testing import CliRunner

from crest.alternatives import BreakEven, Row
from crest.bringup import scaffold_target
from crest.cli.app import app
from crest.errors import CrestError
from crest.measurement import Measurement
from tests.models_small import residual_model


def coefficient(value):
    return {
        "value": value, "low": value * 0.9, "high": value * 1.1, "confidence": 0.9,
        "kind": "declared", "source": "made up", "reason": "for a test",
    }  # fmt: skip


def energy_model(clocks_ua):
    """Runs at each clock with a current; sleep draws by the clock, deep sleep does not."""

    def rest(current_ua, latency_us, energy_uj, **clock):
        return {
            "current_ua": coefficient(current_ua),
            "wake_up_latency_us": coefficient(latency_us),
            "wake_up_energy_uj": coefficient(energy_uj),
            **clock,
        }

    model = {
        "target": "my-board",
        "boundary": "mcu_rail",
        "version": 1,
        "covers": "nothing that exists",
        "conditions": {"volt": 3.0, "regulator": "ldo", "temperature_c": 25},
        "run": [
            {"clock_mhz": clock, "fetch_region": "flash", "current_ua": coefficient(ua)}
            for clock, ua in clocks_ua.items()
        ],
        "sleep": [rest(ua / 4, 1, 0.01, clock_mhz=clock) for clock, ua in clocks_ua.items()],
        "deep_sleep": rest(2, 40, 0.4),
    }
    return {"models": [model]}


@pytest.fixture
def board(tmp_path, monkeypatch):
    """A board of the user's with three clocks, with an energy model beside it; a model to price."""
    monkeypatch.chdir(tmp_path)
    file, _ = scaffold_target("my-board", "nucleo-l4r5zi", tmp_path)
    written = yaml.safe_load(file.read_text())
    written["supply"] = {**written["supply"], "volt": 3.0, "regulator": "ldo"}
    file.write_text(yaml.safe_dump(written))
    (tmp_path / "my-board.energy.yaml").write_text(yaml.safe_dump(energy_model({16: 3_000, 80: 14_000, 120: 22_000})))
    (tmp_path / "model.tflite").write_bytes(residual_model())
    return file


def crest(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


def schedule(board, *arguments):
    return crest("schedule", "model.tflite", "--target", board, *arguments)


def test_a_table_of_clocks_states_and_periods_and_their_break_evens(board, tmp_path):
    done = schedule(board, "--period-ms", "0.1,50", "--clock-mhz", "16,120", "--json", "out.json")
    assert done.exit_code == 0, done.output
    written = json.loads((tmp_path / "out.json").read_text())
    measurements = [Measurement.model_validate(item) for item in written["measurements"]]
    rows = [Row.model_validate(item) for item in written["schedules"]]
    turns = [BreakEven.model_validate(item) for item in written["break_even"]]
    assert [m.clock_mhz for m in measurements] == [16, 120]
    assert [(r.period_ms, r.clock_mhz, r.sleep) for r in rows] == [
        (period, clock, state) for period in (0.1, 50) for clock in (16, 120) for state in ("sleep", "deep_sleep")
    ]
    # One inference takes 150 us at 16 MHz: it misses a period of 0.1 ms, and at 120 MHz it does not.
    late, kept = ([row for row in rows if row.clock_mhz == clock and row.period_ms == 0.1] for clock in (16, 120))
    assert all(row.deadline_missed and row.deadline_misses_per_h.value == 3.6e7 for row in late)
    assert all(not row.deadline_missed for row in kept)
    assert {row.period_ms: (row.clock_mhz, row.sleep) for row in rows if row.best} == {
        0.1: (120, "deep_sleep"),
        50: (16, "deep_sleep"),
    }
    assert [(turn.one, turn.other) for turn in turns] == [
        ("16 MHz, sleep", "16 MHz, deep_sleep"),
        ("16 MHz, sleep", "120 MHz, sleep"),
        ("16 MHz, deep_sleep", "120 MHz, deep_sleep"),
        ("120 MHz, sleep", "120 MHz, deep_sleep"),
    ]
    assert turns[0].period_ms.value > turns[0].both_from_ms.value
    assert "deep_sleep from" in done.output and "% skipped" in done.output and "best" in done.output


def test_by_default_every_clock_and_both_states_are_compared(board, tmp_path):
    done = schedule(board, "--json", "out.json")
    assert done.exit_code == 0, done.output
    rows = json.loads((tmp_path / "out.json").read_text())["schedules"]
    assert len(rows) == 3 * 2 * 3 and {row["clock_mhz"] for row in rows} == {16, 80, 120}


def test_a_row_is_what_crest_measure_says(board, tmp_path):
    options = ["--wake-margin-ms", 1, "--sampling-power-uw", 500, "--sampling-ms", 20]
    done = schedule(board, "--clock-mhz", 80, "--period-ms", 50, "--sleep", "deep", *options, "--json", "row.json")
    assert done.exit_code == 0, done.output
    measured = crest(
        "measure", "model.tflite", "--target", board, "--clock-mhz", 80, "--schedule", "cadenced",
        "--period-ms", 50, "--sleep", "deep_sleep", *options, "--json", "measured.json",
    )  # fmt: skip
    assert measured.exit_code == 0, measured.output
    (row,) = json.loads((tmp_path / "row.json").read_text())["schedules"]
    measurement = json.loads((tmp_path / "measured.json").read_text())
    for name in ("schedule", "energy_per_window_uj", "average_power_uw", "duty_cycle", "deadline_missed"):
        assert row[name] == measurement[name], name
    assert row["schedule"] == "cadenced 50 ms deep_sleep, woken 1 ms early, sampling 500 uW for 20 ms"
    life = f"{row['battery_life_h']['value'] / 24:.3g}"
    assert life in done.output and life in measured.output


def test_without_an_energy_model_the_rest_is_still_told(board, tmp_path):
    (tmp_path / "my-board.energy.yaml").unlink()
    done = schedule(board, "--period-ms", "50", "--clock-mhz", "80", "--json", "out.json")
    assert done.exit_code == 0, done.output
    assert "no energy model" in done.output
    document = json.loads((tmp_path / "out.json").read_text())
    assert not any(row["best"] for row in document["schedules"])
    (note,) = {note for row in document["schedules"] for note in row["notes"]}
    assert note == "whether the deadline is met is not known: no energy model"
    assert f"note: 50.0 ms, 80 MHz, sleep; 50.0 ms, 80 MHz, deep_sleep: {note}" in done.output
    assert {turn["period_ms"]["reason"] for turn in document["break_even"]} == {"no energy model"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--period-ms", "50;200"], "--period-ms"),
        (["--period-ms", "0"], "from above 0"),
        (["--period-ms", "nan"], "from above 0"),
        (["--sleep", "standby"], "'standby' is not one of sleep, deep, deep_sleep"),
        (["--sampling-ms", "5"], "only --sampling-power-uw needs it"),
        (["--period-s", "0.2"], "--period-ms"),
    ],
)
def test_options_that_make_no_sense(board, arguments, words):
    done = schedule(board, *arguments)
    assert done.exit_code == 2 and words in " ".join(done.output.split())


@pytest.mark.parametrize("command", ["measure", "schedule"])
@pytest.mark.parametrize("capacity", ["inf", "nan", "1e8", "0"])
def test_a_battery_that_makes_no_sense(board, command, capacity):
    done = crest(command, "model.tflite", "--target", board, "--battery-mah", capacity)
    assert done.exit_code == 2 and "--battery-mah" in done.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--clock-mhz", "17"], "no clock of 17"),
        (["--wake-margin-ms", "60", "--period-ms", "50"], "wake_margin_ms: 60 leaves nothing of period_ms 50"),
        (["--sampling-power-uw", "5", "--sampling-ms", "60", "--period-ms", "50"], "collect_ms 60 is longer"),
    ],
)
def test_schedules_that_make_no_sense(board, arguments, words):
    done = schedule(board, *arguments)
    assert isinstance(done.exception, CrestError) and words in str(done.exception)


def test_inferences_back_to_back_take_no_margin(board):
    done = crest("measure", "model.tflite", "--target", board, "--wake-margin-ms", 1)
    assert isinstance(done.exception, CrestError) and done.exception.hint == "--schedule cadenced"
