"""The loop of a replay: a row for everything, nothing done twice, changes noticed, SIGKILL survived."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from crest.errors import LedgerError
from crest.ledger import ReplayedRecord, content, read_ledger
from crest.replay import compare, replay_csv, replay_json, run_replay
from crest.schedule import Cadenced
from tests.replay import replay_stubs
from tests.replay.replay_stubs import BOARDS, FAULTY, LARGE_MS, StubPricer, make_replay, priced, recorded_run

KILLS = 5
DELAY_S = 0.05


@pytest.fixture(scope="module")
def kept_run(tmp_path_factory):
    return recorded_run(tmp_path_factory.mktemp("recorded") / "run")


@pytest.fixture
def run(kept_run, tmp_path):
    return shutil.copytree(kept_run, tmp_path / "run")


def replayed(plan, folder, log=None):
    return run_replay(plan, folder, StubPricer(plan, log))


def test_every_network_has_a_row_on_every_board_and_a_reason_where_it_has_no_price(run, tmp_path):
    plan = make_replay(run, all_trials=True)
    first, second = replayed(plan, tmp_path / "replay")
    numbers = [network.number for network in plan.source.networks]
    assert [r.number for r in first] == [r.number for r in second] == numbers and len(numbers) > 10
    assert {r.target for r in first} == {BOARDS[0]} and {r.state for r in first} == {"priced"}
    states = set()
    for network, record in zip(plan.source.networks, second, strict=True):
        large = network.measurement.latency_ms.value > LARGE_MS
        expected = "infeasible" if large else "failed" if network.number % 7 == FAULTY else "priced"
        assert record.state == expected
        assert (record.measurement is None) == bool(record.reason) == (expected != "priced")
        states.add(record.state)
    assert states == {"priced", "infeasible", "failed"}, "this run should have all three"
    assert "CapacityError: does not fit (take fewer filters)" in {r.reason for r in second}


def test_nothing_is_priced_twice_by_the_same_command_or_by_a_wider_one(run, tmp_path):
    folder, log = tmp_path / "replay", tmp_path / "log"
    narrow = make_replay(run, targets=BOARDS[:1])
    replayed(narrow, folder, log)
    before = (folder / "ledger.jsonl").read_bytes()
    again = replayed(narrow, folder, log)
    assert (folder / "ledger.jsonl").read_bytes() == before
    wide = make_replay(run, all_trials=True)
    both = replayed(wide, folder, log)
    done = priced(log)
    assert len(done) == len(set(done)) == 2 * len(wide.source.networks)
    assert both[0][: len(again[0])] == again[0]
    assert (folder / "ledger.jsonl").read_bytes().startswith(before)


def test_another_schedule_is_priced_anew(run, tmp_path):
    log = tmp_path / "log"
    replayed(make_replay(run), tmp_path / "replay", log)
    once = len(priced(log))
    (_, late) = replayed(make_replay(run, schedule=Cadenced(period_ms=10)), tmp_path / "replay", log)
    assert len(priced(log)) == 2 * once
    assert {r.schedule for r in late} == {"cadenced 10 ms deep_sleep"}
    assert any(r.measurement and r.measurement.deadline_missed for r in late)


def test_a_changed_run_is_noticed(run, tmp_path):
    replayed(make_replay(run), tmp_path / "replay")
    ledger = run / "ledger.jsonl"
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join([*lines[:-1], lines[-1], lines[-1]]))
    with pytest.raises(LedgerError, match="changed since this replay began") as caught:
        replayed(make_replay(run), tmp_path / "replay")
    assert "--name" in caught.value.hint


def test_a_changed_model_file_is_noticed(run, tmp_path):
    plan = make_replay(run)
    replayed(plan, tmp_path / "replay")
    number = plan.source.networks[-1].number
    (run / "models" / str(number)).write_bytes(b"another")
    with pytest.raises(LedgerError, match=f"model file of trial {number} changed"):
        replayed(make_replay(run), tmp_path / "replay")


def test_the_ledger_of_a_run_is_not_that_of_a_replay(run):
    with pytest.raises(LedgerError, match="not the header of a replay"):
        replayed(make_replay(run), run)


def test_a_damaged_ledger_is_refused_and_a_torn_tail_is_not(run, tmp_path):
    plan, ledger = make_replay(run), tmp_path / "replay" / "ledger.jsonl"
    expected = replayed(plan, ledger.parent)
    whole = ledger.read_bytes()
    ledger.write_bytes(whole[:-40])
    assert content(r for column in replayed(plan, ledger.parent) for r in column) == content(
        r for column in expected for r in column
    )
    ledger.write_bytes(whole.replace(b'"state":"priced"', b'"state":"prized"', 1))
    with pytest.raises(LedgerError, match="line 2 is damaged"):
        replayed(plan, ledger.parent)


def test_a_killed_replay_continues_to_the_undisturbed_end(run, tmp_path):
    plan = make_replay(run, all_trials=True)
    expected = replayed(plan, tmp_path / "undisturbed")
    ledger = tmp_path / "killed" / "ledger.jsonl"
    chance, kills, acknowledged = random.Random(5), 0, []
    for session in range(50):
        log = tmp_path / f"log{session}"
        killed = killed_session(run, ledger.parent, log, chance.uniform(0.0, 0.4) if kills < KILLS else None)
        now = read_ledger(ledger) if ledger.exists() else []
        assert now[: len(acknowledged)] == acknowledged, "a record was lost or changed"
        known = {(r.number, r.target) for r in acknowledged if isinstance(r, ReplayedRecord)}
        assert not log.exists() or not known & set(priced(log)), "something recorded was done again"
        acknowledged, kills = now, kills + killed
        if not killed:
            break
    assert kills == KILLS, "the replay ended before it was killed often enough"
    assert content(acknowledged[1:]) == content(r for pair in zip(*expected, strict=True) for r in pair)
    killed_end = compare(plan, replayed(plan, ledger.parent))
    assert replay_csv(killed_end) == replay_csv(compare(plan, expected))
    assert json.loads(replay_json(killed_end)) == json.loads(replay_json(compare(plan, expected)))


def killed_session(run, folder, log, wait_s):
    """Replay in a process of its own, killed some time after its first price; False when it ended by itself."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    arguments = [str(run), str(folder), str(log), str(DELAY_S)]
    command = [sys.executable, replay_stubs.__file__, *arguments]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as process:
        give_up = time.monotonic() + 30
        while not log.exists() and process.poll() is None:
            assert time.monotonic() < give_up, "the replay did not start"
            time.sleep(0.005)
        try:
            process.wait(wait_s if wait_s is not None else 60)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        assert process.wait() in (0, -signal.SIGKILL), process.stderr.read().decode()
        return process.returncode == -signal.SIGKILL
