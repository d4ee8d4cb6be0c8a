"""A study goes the whole way, twice the same, and survives being killed."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
import yaml

pytest.importorskip("torch", reason="searching needs the search extra")
pytest.importorskip("tensorflow", reason="searching needs the search extra")

from crest.ledger import LEDGER_NAME, FinishedRecord, MemberRecord, TrialRecord, content, read_ledger

STUDY = """
name: tiny
workload: {odometry: {source: generated, minutes: 2}}
model:
  family: tcn
  space: {nb_filters: [2, 8], kernel_size: [2, 5], dilations: {elements: [4, 8, 16, 32], max_size: 4}}
quantization: [int8, float32]
targets: nano33ble
schedule: {cadenced: {sleep: deep}}
reserve: {ram_bytes: 1024, cpu_pct: 10}
policy:
  minimize: [rmse_total, energy_per_window_uj]
  subject_to: [latency_ms <= 12, ram_bytes <= 12K]
search: {trials: 6, startup_trials: 2, epochs: 2, workers: WORKERS, seed: 3}
"""
DEADLINE_S = 300


def crest(*arguments, cache, cwd, check=True):
    environment = {**os.environ, "CREST_CACHE": str(cache), "OMP_NUM_THREADS": "1", "COLUMNS": "140"}
    command = [sys.executable, "-m", "crest", *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=DEADLINE_S, check=False
    )
    assert not check or done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "study.yaml").write_text(STUDY.replace("WORKERS", "1"))
    crest("search", "study.yaml", cache=folder / "cache", cwd=folder)
    return folder


def records_of(folder, run="tiny"):
    return read_ledger(folder / "runs" / run / LEDGER_NAME)


def test_the_run_folder_holds_what_it_should(undisturbed):
    records = records_of(undisturbed)
    run = undisturbed / "runs" / "tiny"
    trials = [r for r in records if isinstance(r, TrialRecord)]
    assert sum(t.state == "complete" for t in trials) == 6
    finished = records[-1]
    assert isinstance(finished, FinishedRecord) and finished.front
    for name in ("front.csv", "front.json", "front.png", "report.html"):
        assert (run / name).stat().st_size > 0
    for member in (r for r in records if isinstance(r, MemberRecord)):
        elf = (run / member.files["elf"]).read_bytes()
        assert hashlib.sha256(elf).hexdigest() == member.measurement.elf_sha256
        assert (run / member.files["tflite"]).read_bytes()[4:8] == b"TFL3"
        assert {p.name for p in (run / member.files["c_project"]).iterdir()} >= {
            "model.c",
            "model.h",
            "nn",
            "CMakeLists.txt",
        }
        assert member.test_metrics.keys() == member.metrics.keys() >= {"rmse_total", "rmse_2d", "ate_m"}


def test_what_ships_counts_buffers_and_reserve(undisturbed):
    prices = [r.price for r in records_of(undisturbed) if isinstance(r, TrialRecord) and r.price is not None]
    assert prices
    for price in prices:
        memory = price.memory
        assert memory.ram_reserve_bytes == 1024 and memory.workload_ram_bytes > 2000
        assert memory.ram_bytes > memory.arena_bytes + memory.stack_bytes + memory.ram_reserve_bytes


def test_infeasible_candidates_were_not_trained(undisturbed):
    refused = [r for r in records_of(undisturbed) if isinstance(r, TrialRecord) and r.state == "infeasible"]
    assert refused, "the constraints of this study should refuse somebody"
    for record in refused:
        assert record.training is None and record.reason and max(record.violations.values()) > 0


def test_the_same_seed_gives_the_same_ledger_with_other_workers_and_a_cold_cache(undisturbed, tmp_path):
    (tmp_path / "study.yaml").write_text(STUDY.replace("WORKERS", "2"))
    crest("search", "study.yaml", cache=tmp_path / "cache", cwd=tmp_path)
    assert comparable(records_of(tmp_path)) == comparable(records_of(undisturbed))


def comparable(records):
    """Content without the number of workers, which is part of the study and changes no result."""
    header = records[0]
    search = {**header.study["search"], "workers": None}
    return content([header.model_copy(update={"study": {**header.study, "search": search}}), *records[1:]])


def test_resuming_a_finished_run_changes_nothing(undisturbed):
    before = (undisturbed / "runs" / "tiny" / LEDGER_NAME).read_bytes()
    crest("resume", "runs/tiny", cache=undisturbed / "cache", cwd=undisturbed)
    assert (undisturbed / "runs" / "tiny" / LEDGER_NAME).read_bytes() == before


def test_show_and_report(undisturbed):
    shown = crest("show", "runs/tiny", cache=undisturbed / "cache", cwd=undisturbed)
    assert "Front of tiny" in shown.stdout
    member = next(r for r in records_of(undisturbed) if isinstance(r, MemberRecord))
    one = crest("show", "runs/tiny", "--trial", member.number, cache=undisturbed / "cache", cwd=undisturbed)
    assert "Cycles by layer" in one.stdout
    report = undisturbed / "runs" / "tiny" / "report.html"
    before = report.read_bytes()
    report.unlink()
    crest("report", "runs/tiny", cache=undisturbed / "cache", cwd=undisturbed)
    assert report.read_bytes() == before


def test_reprice_with_unchanged_models_changes_no_number(undisturbed, tmp_path):
    crest("reprice", "runs/tiny", "-o", tmp_path / "again", cache=undisturbed / "cache", cwd=undisturbed)
    before, after = records_of(undisturbed), read_ledger(tmp_path / "again" / LEDGER_NAME)
    assert after[-1].front == before[-1].front
    old = {r.number: r.price for r in before if isinstance(r, TrialRecord)}
    assert {r.number: r.price for r in after if isinstance(r, TrialRecord)} == old
    second = crest(
        "reprice", "runs/tiny", "-o", tmp_path / "again", cache=undisturbed / "cache", cwd=undisturbed, check=False
    )
    assert second.returncode == 11 and "holds a run already" in second.stderr


def test_a_corrected_model_reprices_without_building(undisturbed, tmp_path, monkeypatch):
    from crest import pricing
    from crest.search.reprice import reprice
    from crest.timing import CycleModel, load_cycle_model

    def slower(target, code_region=None):
        model = load_cycle_model(target)
        factor = {"value": 2.0, "low": 2.0, "high": 2.0}
        return CycleModel(model._timing, model._stalls.model_copy(update=factor))

    monkeypatch.setenv("CREST_CACHE", str(undisturbed / "cache"))
    monkeypatch.setattr(pricing, "load_cycle_model", slower)
    monkeypatch.setattr(pricing.Pricing, "build", lambda *_: pytest.fail("repricing must not build"))
    reprice(undisturbed / "runs" / "tiny", tmp_path / "slower")
    before = {r.number: r for r in records_of(undisturbed) if isinstance(r, TrialRecord) and r.price}
    after = {
        r.number: r for r in read_ledger(tmp_path / "slower" / LEDGER_NAME) if isinstance(r, TrialRecord) and r.price
    }
    assert before.keys() == after.keys()
    for number, record in after.items():
        ratio = record.price.cycles.value / before[number].price.cycles.value
        assert ratio == pytest.approx(2.0 / load_cycle_model_factor())
        assert record.metrics == before[number].metrics


def test_a_board_without_an_energy_model_is_searched(tmp_path):
    from crest.assets import asset_path

    board = asset_path("emulation", "targets", "nano33ble.yaml").read_text().replace("name: nano33ble", "name: bare")
    (tmp_path / "bare.yaml").write_text(board)
    study = (
        STUDY.replace("WORKERS", "1").replace("energy_per_window_uj", "latency_ms").replace("trials: 6", "trials: 2")
    )
    (tmp_path / "study.yaml").write_text(
        study.replace("targets: nano33ble", "targets: bare.yaml") + "battery_mah: 220\n"
    )
    shown = crest("search", "study.yaml", cache=tmp_path / "cache", cwd=tmp_path)
    assert "Front of tiny" in shown.stdout
    run = tmp_path / "runs" / "tiny"
    front = json.loads((run / "front.json").read_text())["front"]
    assert front and all(entry["member"]["measurement"]["latency_ms"]["value"] for entry in front)
    assert "no energy model" in (run / "report.html").read_text()
    crest("reprice", "runs/tiny", cache=tmp_path / "cache", cwd=tmp_path)


CLOCKS_MHZ = (120, 80, 16)
# Per MHz it rises with the clock, as a higher supply of the core makes it.
RUN_CURRENT_UA = (18500, 9500, 1700)


def clocked_board(folder, run_current_ua):
    """A board of the user's with three clocks, and an energy model with that run current at each of them."""
    from crest.assets import asset_path

    def coefficient(value):
        same = {"value": value, "low": value, "high": value, "confidence": 0.9}
        return {**same, "kind": "declared", "source": "this test", "reason": "this test"}

    def rest(current_ua):
        names = ("current_ua", "wake_up_latency_us", "wake_up_energy_uj")
        return {name: coefficient(value) for name, value in zip(names, (current_ua, 15, 0.3), strict=True)}

    model = {
        **{"target": "clocked", "boundary": "mcu_rail", "version": 1, "covers": "the rail of this test"},
        "conditions": {"volt": 3.3, "regulator": "ldo", "temperature_c": 25},
        "run": [
            {"clock_mhz": clock_mhz, "fetch_region": "flash", "current_ua": coefficient(current_ua)}
            for clock_mhz, current_ua in zip(CLOCKS_MHZ, run_current_ua, strict=True)
        ],
        "sleep": rest(1000),
        "deep_sleep": rest(3),
    }
    shipped = asset_path("emulation", "targets", "nucleo-l4r5zi.yaml").read_text()
    (folder / "clocked.yaml").write_text(shipped.replace("name: nucleo-l4r5zi", "name: clocked"))
    (folder / "clocked.energy.yaml").write_text(json.dumps({"models": [model]}))


def clocked_study(
    folder,
    clocks_mhz=CLOCKS_MHZ,
    minimize=("rmse_total", "energy_per_window_uj", "latency_ms"),
    subject_to=("latency_ms <= 3",),
):
    """A study for which the slow clock is too slow with the larger networks."""
    written = yaml.safe_load(STUDY.replace("WORKERS", "1"))
    written["targets"] = {"clocked.yaml": {"clock_mhz": list(clocks_mhz)}}
    written["policy"] = {"minimize": list(minimize), "subject_to": list(subject_to)}
    written["search"] |= {"trials": 3}
    (folder / "study.yaml").write_text(json.dumps(written))


@pytest.fixture(scope="module")
def clocked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clocked")
    clocked_board(folder, RUN_CURRENT_UA)
    clocked_study(folder)
    crest("search", "study.yaml", cache=folder / "cache", cwd=folder)
    return folder


def points_of(records):
    return {point.key: point for r in records if isinstance(r, TrialRecord) for point in r.points}


def test_slow_and_steady_wins_on_energy_and_fast_on_latency(clocked):
    records = records_of(clocked)
    members = {r.key: r for r in records if isinstance(r, MemberRecord)}
    front = list(zip(records[-1].front, records[-1].clocks_mhz, strict=True))
    trained = {number for number, _ in front}
    slow = {number for number, clock_mhz in front if clock_mhz == 16}
    assert slow, "a network that is small enough for the slow clock"
    for number in slow:
        costs = {clock: members[number, clock].measurement for clock in CLOCKS_MHZ}
        for name, best in (("energy_per_window_uj", 16), ("latency_ms", 120)):
            assert min(CLOCKS_MHZ, key=lambda clock, name=name: costs[clock].metrics()[name]) == best
        # Fewer wait states at the slow clock: the same instructions take fewer cycles.
        assert costs[16].instructions == costs[120].instructions
        assert costs[16].cycles.value < costs[80].cycles.value < costs[120].cycles.value
        assert len({cost.elf_sha256 for cost in costs.values()}) == 3
    for number in trained:
        elfs = [(clocked / "runs" / "tiny" / members[point].files["elf"]) for point in front if point[0] == number]
        assert len({hashlib.sha256(elf.read_bytes()).hexdigest() for elf in elfs}) == len(elfs) > 1


def test_a_clock_that_is_too_slow_rules_out_itself_alone(clocked):
    late = [p for p in points_of(records_of(clocked)).values() if p.state == "infeasible"]
    assert late and {p.key.clock_mhz for p in late} == {16}
    kept = {t.number for t in records_of(clocked) if isinstance(t, TrialRecord) and t.state == "complete"}
    assert {p.number for p in late} <= kept
    assert all(p.reason.startswith("latency_ms is ") and p.violations["latency_ms <= 3"] > 0 for p in late)


def test_a_run_of_several_clocks_is_shown_at_each(clocked):
    at = {"cache": clocked / "cache", "cwd": clocked}
    before = (clocked / "runs" / "tiny" / LEDGER_NAME).read_bytes()
    crest("resume", "runs/tiny", **at)
    assert (clocked / "runs" / "tiny" / LEDGER_NAME).read_bytes() == before
    number = records_of(clocked)[-1].front[0]
    assert "clocked at 80 MHz" in crest("show", "runs/tiny", "--trial", number, "--clock-mhz", 80, **at).stdout
    wrong = crest("show", "runs/tiny", "--trial", number, "--clock-mhz", 64, **at, check=False)
    assert wrong.returncode == 3 and "no price at 64 MHz" in wrong.stderr and "120" in wrong.stderr
    rows = list(csv.DictReader((clocked / "runs" / "tiny" / "front.csv").open()))
    front = set(zip(records_of(clocked)[-1].front, records_of(clocked)[-1].clocks_mhz, strict=True))
    assert {(int(row["number"]), float(row["clock_mhz"])) for row in rows} == front


def test_another_energy_model_turns_slow_and_steady_into_a_race_to_idle(clocked, tmp_path):
    """Where running draws nearly the same at every clock, the fastest has the least energy: known without building."""
    clocked_board(tmp_path, RUN_CURRENT_UA)
    clocked_study(tmp_path, minimize=("rmse_total", "energy_per_window_uj"), subject_to=())
    at = {"cache": clocked / "cache", "cwd": tmp_path}
    crest("search", "study.yaml", **at)
    before = records_of(tmp_path)
    assert set(before[-1].clocks_mhz) == {16}
    clocked_board(tmp_path, run_current_ua=(18500, 17500, 16500))
    crest("reprice", "runs/tiny", "-o", "again", **at)
    after = read_ledger(tmp_path / "again" / LEDGER_NAME)
    assert set(after[-1].clocks_mhz) == {120}
    for records, preferred in ((before, 16), (after, 120)):
        complete = [r for r in records if isinstance(r, TrialRecord) and r.state == "complete"]
        assert {trial.key.clock_mhz for trial in complete} == {preferred}
    cycles = [{key: point.price.cycles for key, point in points_of(records).items()} for records in (before, after)]
    assert cycles[0] == cycles[1]


@pytest.mark.parametrize(
    ("clocks_mhz", "code", "words"),
    [([80, 81], 3, "no clock of 81"), ([80, 16], 4, "no run power at 16 MHz")],
)
def test_a_clock_that_cannot_be_priced_is_refused_before_the_first_trial(tmp_path, clocks_mhz, code, words):
    clocked_board(tmp_path, RUN_CURRENT_UA)
    energy = tmp_path / "clocked.energy.yaml"
    model = json.loads(energy.read_text())
    model["models"][0]["run"].pop()
    energy.write_text(json.dumps(model))
    clocked_study(tmp_path, clocks_mhz)
    done = crest("search", "study.yaml", cache=tmp_path / "cache", cwd=tmp_path, check=False)
    assert done.returncode == code and words in done.stderr
    assert not (tmp_path / "runs").exists()


def load_cycle_model_factor():
    from crest.targets import load_target

    return load_target("nano33ble").fetch_stall_factor.value


@pytest.mark.slow
def test_killed_at_three_random_moments_and_resumed(undisturbed, tmp_path):
    """SIGKILL of the search and all that belongs to it; the last resume ends with the undisturbed content."""
    (tmp_path / "study.yaml").write_text(STUDY.replace("WORKERS", "1"))
    environment = {**os.environ, "CREST_CACHE": str(undisturbed / "cache"), "OMP_NUM_THREADS": "1"}
    rng = random.Random(7)
    kills = 0
    for _ in range(3):
        command = [sys.executable, "-m", "crest", "search", "study.yaml"]
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL, start_new_session=True
        )
        time.sleep(rng.uniform(2.0, 9.0))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
    assert kills >= 2, "the search is quicker than this test assumes"
    crest("resume", "runs/tiny", cache=undisturbed / "cache", cwd=tmp_path)
    assert content(records_of(tmp_path)) == content(records_of(undisturbed))
    front = json.loads((tmp_path / "runs" / "tiny" / "front.json").read_text())
    assert front["front"]
