"""`crest replay` as a user runs it: real firmware on real targets, from a ledger written by hand and from a search."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from crest.ledger import (
    LEDGER_NAME,
    FinishedRecord,
    HeaderRecord,
    Ledger,
    MemberRecord,
    ReplayedRecord,
    TrialRecord,
    read_ledger,
)
from crest.study import parse_study
from tests.models_small import dense_model
from tests.search.search_stubs import measurement

WHEN = {"recorded_at": "2026-01-01T00:00:00+00:00", "host": "here"}
SMALL, WIDE, TOO_WIDE = 0, 1, 2
UNITS = {SMALL: 4, WIDE: 48, TOO_WIDE: 800}
STUDY = {
    "name": "walk",
    "workload": {"odometry": {"source": "generated"}},
    "model": {"family": "tcn"},
    "targets": "nano33ble",
    "schedule": {"cadenced": {"period_ms": 200}},
    "policy": {"minimize": ["rmse_total", "energy_per_window_uj"], "subject_to": ["flash_bytes <= 800K"]},
}
BOARDS = ("--target", "nucleo-l4r5zi", "--target", "nucleo-g0b1re")


@pytest.fixture(scope="module", autouse=True)
def one_cache(tmp_path_factory):
    """What is compiled for every network of a board is compiled once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CREST_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def crest(*arguments, cwd, check=True):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "180"}
    command = [sys.executable, "-m", "crest", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=300, check=False)
    assert not check or done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done


def recorded_by_hand(run):
    """A finished run of three dense networks; the widest has more weights than the smaller target has flash."""
    study = parse_study(STUDY)
    header = HeaderRecord(
        run="walk",
        study=study.model_dump(mode="json"),
        study_sha256=study.canonical_sha256(),
        study_folder=".",
        workload_fingerprint="data",
        versions={},
        **WHEN,
    )
    (run / "models").mkdir(parents=True)
    with Ledger(run / LEDGER_NAME) as ledger:
        ledger.begin(header)
        for number, units in UNITS.items():
            (run / "models" / f"{number}.tflite").write_bytes(dense_model(depth=units, units=units))
            cost, error = measurement(units / 10, energy_uj=units), 2.0 / units
            trial = TrialRecord(
                number=number,
                state="complete",
                candidate={"units": units},
                quantization="int8",
                target="nano33ble",
                price=cost,
                metrics={"rmse_total": error},
                objectives={"rmse_total": error, "energy_per_window_uj": units},
                model=f"models/{number}.tflite",
                **WHEN,
            )
            ledger.append(trial)
        ledger.append(FinishedRecord(trials=3, front=tuple(UNITS), reason="trained 3 candidates", **WHEN))
    return run


@pytest.fixture
def run(tmp_path):
    return recorded_by_hand(tmp_path / "runs" / "walk")


def rows_of(run, name="default"):
    with (run / "replays" / name / "replay.csv").open() as file:
        return {
            (int(row["number"]), row["target.name"] or row["board"].split()[0]): row for row in csv.DictReader(file)
        }


def test_a_front_on_two_boards(run, tmp_path):
    done = crest("replay", "runs/walk", *BOARDS, cwd=tmp_path)
    rows = rows_of(run)
    assert len(rows) == 6
    assert {row["verdict"] for (_, board), row in rows.items() if board == "nucleo-l4r5zi"} == {"front"}
    refused = rows[TOO_WIDE, "nucleo-g0b1re"]
    assert refused["verdict"] == "infeasible" and refused["reason"].startswith("CapacityError")
    for number in (SMALL, WIDE):
        m0, m4 = rows[number, "nucleo-g0b1re"], rows[number, "nucleo-l4r5zi"]
        assert float(m0["target.latency_ms"]) > float(m4["target.latency_ms"])
        assert float(m0["target.latency_ms_low"]) < float(m0["target.latency_ms_high"])
        assert m0["target.elf_sha256"] != m4["target.elf_sha256"]
    assert "on the front of the board" in done.stdout and "does not fit" in done.stdout
    assert "6 of 6" in done.stderr
    document = json.loads((run / "replays" / "default" / "replay.json").read_text())
    checked = [one["measurement"]["golden_pairs_checked"] for one in document["boards"][0]["networks"]]
    assert min(checked) > 0


def test_another_schedule_and_policy_build_nothing(run, tmp_path):
    crest("replay", "runs/walk", *BOARDS, cwd=tmp_path)
    folder = run / "replays" / "default"
    built = {path.name: path.stat().st_mtime_ns for path in (folder / "executions").iterdir()}
    ledger = (folder / LEDGER_NAME).read_bytes()
    crest("replay", "runs/walk", *BOARDS, "--minimize", "latency_ms", cwd=tmp_path)
    assert (folder / LEDGER_NAME).read_bytes() == ledger
    assert {key for key, row in rows_of(run).items() if row["verdict"] == "front"} == {
        (SMALL, "nucleo-l4r5zi"),
        (SMALL, "nucleo-g0b1re"),
    }
    before = rows_of(run)
    schedule = ("--schedule", "cadenced", "--period-ms", 1000, "--sleep", "sleep")
    crest("replay", "runs/walk", *BOARDS[:2], *schedule, "--subject-to", "latency_ms <= 0.001", cwd=tmp_path)
    assert {path.name: path.stat().st_mtime_ns for path in (folder / "executions").iterdir()} == built
    for key, row in rows_of(run).items():
        assert row["target.elf_sha256"] == before[key]["target.elf_sha256"]
        assert row["target.schedule"] == "cadenced 1000 ms sleep"
        assert float(row["target.energy_per_window_uj"]) > float(before[key]["target.energy_per_window_uj"])
        assert row["verdict"] == "infeasible" and "latency_ms <= 0.001" in row["reason"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--target", "nucleo-l4r5"], 3, "did you mean"),
        (["--clock-mhz", "65"], 3, "no clock of 65"),
        (["--minimize", "rmse_totl"], 3, "did you mean 'rmse_total'?"),
        (["--subject-to", "latency_ms < 3"], 3, "is not a constraint"),
        (["--metric", "speed"], 3, "no measured cost"),
        (["--period-ms", "50"], 3, "--schedule cadenced"),
        (["--schedule", "continuous", "--wake-margin-ms", "1"], 3, "no wake margin"),
        (["--policy", "absent.yaml"], 3, "absent.yaml: no such file"),
        (["--policy", "absent.yaml", "--minimize", "latency_ms"], 2, "has both already"),
        (["--name", "../elsewhere"], 2, "letters, digits"),
    ],
)
def test_nonsense_is_refused_before_anything_is_built(run, tmp_path, arguments, code, words):
    done = crest("replay", "runs/walk", *arguments, cwd=tmp_path, check=False)
    assert done.returncode == code and words in done.stderr
    assert not (run / "replays").exists()


def test_runs_that_cannot_be_replayed(run, tmp_path):
    (tmp_path / "empty").mkdir()
    none = crest("replay", "empty", cwd=tmp_path, check=False)
    assert none.returncode == 11 and "ledger.jsonl: cannot be read" in none.stderr
    (run / "models" / f"{WIDE}.tflite").write_bytes(b"not a model")
    crest("replay", "runs/walk", cwd=tmp_path)
    replay = crest("show", "runs/walk/replays/default", cwd=tmp_path, check=False)
    assert replay.returncode == 11 and "line 1 is not the header of a run" in replay.stderr
    broken = rows_of(run)[WIDE, "nano33ble"]
    assert broken["verdict"] == "failed" and broken["reason"].startswith("ModelError")
    (run / "models" / f"{WIDE}.tflite").unlink()
    gone = crest("replay", "runs/walk", cwd=tmp_path, check=False)
    assert gone.returncode == 5 and f"the model file of trial {WIDE} is gone" in gone.stderr
    lines = (run / LEDGER_NAME).read_bytes().splitlines(keepends=True)
    (run / LEDGER_NAME).write_bytes(b"".join(lines[:-1]))
    running = crest("replay", "runs/walk", cwd=tmp_path, check=False)
    assert running.returncode == 11 and "crest resume runs/walk" in running.stderr
    left_out = crest("replay", "runs/walk", "--all-trials", "--name", "running", cwd=tmp_path)
    assert f"left out, for their model files are gone: trials {WIDE}" in left_out.stderr
    assert len(rows_of(run, "running")) == 2


def test_nothing_of_the_search_extra_is_needed(run, tmp_path):
    extra = ("torch", "tensorflow", "keras", "optuna", "matplotlib", "scipy")
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nfor name in {extra}:\n    sys.modules[name] = None\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, sys.path)]))
        crest("replay", "runs/walk", cwd=tmp_path)
    assert {row["verdict"] for row in rows_of(run).values()} == {"front"}


SEARCH = """
name: tiny
targets: nano33ble
workload: {odometry: {source: generated, minutes: 2}}
quantization: [int8, float32]
model: {family: tcn, space: {nb_filters: [2, 8], kernel_size: [2, 5]}}
reserve: {ram_bytes: 1024, cpu_pct: 10}
schedule: {cadenced: {sleep: deep}}
policy: {minimize: [rmse_total, energy_per_window_uj]}
search: {trials: 4, startup_trials: 2, epochs: 1, seed: 3}
"""


@pytest.mark.slow
def test_a_searched_front_is_replayed_bit_for_bit_and_survives_a_kill(tmp_path):
    """On its own board a member costs what it did at the end of the search, from the same ELF."""
    pytest.importorskip("torch", reason="searching needs the search extra")
    pytest.importorskip("tensorflow", reason="searching needs the search extra")
    (tmp_path / "study.yaml").write_text(SEARCH)
    crest("search", "study.yaml", cwd=tmp_path)
    run = tmp_path / "runs" / "tiny"
    members = {r.number: r for r in read_ledger(run / LEDGER_NAME) if isinstance(r, MemberRecord)}
    ledger = run / "replays" / "default" / LEDGER_NAME
    command = ("replay", "runs/tiny", "--target", "nano33ble", "--target", "nucleo-f446re", "--all-trials")
    killed_after_the_first_record(command, tmp_path, ledger)
    left = replayed(ledger)
    crest(*command, cwd=tmp_path)
    done = replayed(ledger)
    assert done[: len(left)] == left and len({r.key for r in done}) == len(done) == 2 * 4
    own = {r.number: r.measurement for r in done if r.target == "nano33ble"}
    assert members and {number: own[number] for number in members} == {
        number: member.measurement for number, member in members.items()
    }
    assert {r.state for r in done} == {"priced"}


def replayed(ledger):
    return [record for record in read_ledger(ledger) if isinstance(record, ReplayedRecord)]


def killed_after_the_first_record(command, cwd, ledger):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    arguments = [sys.executable, "-m", "crest", *command]
    process = subprocess.Popen(arguments, cwd=cwd, env=environment, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 120
    while not (ledger.exists() and replayed(ledger)) and process.poll() is None:
        assert time.monotonic() < deadline, "the replay did not start"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the replay is quicker than this test assumes"
