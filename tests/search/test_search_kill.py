"""SIGKILL at random moments, then resume: the run ends as if nothing had happened."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import search_stubs
from search_stubs import make_plan, run_stub

from crest.ledger import MemberRecord, TrialRecord, content, read_ledger

KILLS = 10
DELAY_S = 0.03
OPTIONS = {"trials": 24, "startup_trials": 4, "batch": 3, "seed": 11}


def start(folder, log, **options):
    environment = {
        **os.environ,
        "STUB_RUN": str(folder),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "OMP_NUM_THREADS": "1",
    }
    arguments = [str(folder), str(log), str(DELAY_S), json.dumps({**OPTIONS, **options})]
    program = Path(search_stubs.__file__)
    return subprocess.Popen([sys.executable, str(program), *arguments], env=environment, stderr=subprocess.PIPE)


def recorded(ledger):
    return read_ledger(ledger) if ledger.exists() and ledger.stat().st_size else []


def kill_when_it_has_worked(process, log, wait_s):
    """Kill some time after the session's first training or verification began; False when it ended by itself."""
    deadline = time.monotonic() + 30
    while not log.exists() and process.poll() is None:
        assert time.monotonic() < deadline, "the search did not start"
        time.sleep(0.005)
    try:
        process.wait(wait_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    process.wait()
    return process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_search_resumes_to_the_undisturbed_end(tmp_path, workers):
    kills_wanted = KILLS if workers == 1 else 3
    undisturbed = tmp_path / "undisturbed"
    run_stub(make_plan(**OPTIONS), undisturbed)
    expected = content(recorded(undisturbed / "ledger.jsonl")[1:])
    ledger = tmp_path / "killed" / "ledger.jsonl"
    chance = random.Random(workers)
    kills, sessions, acknowledged = 0, 0, []
    while True:
        log = tmp_path / f"log{sessions}"
        process = start(ledger.parent, log, workers=workers)
        with process.stderr:
            if kills < kills_wanted:
                killed = kill_when_it_has_worked(process, log, chance.uniform(0.0, 0.25))
                kills += killed
            else:
                killed = process.wait(60) == -signal.SIGKILL
            assert killed or process.returncode == 0, process.stderr.read().decode()
        now = recorded(ledger)
        assert now[: len(acknowledged)] == acknowledged, "a record was lost or changed"
        repeated = {("train", r.number) for r in acknowledged if isinstance(r, TrialRecord)}
        repeated |= {("finish", r.number) for r in acknowledged if isinstance(r, MemberRecord)}
        done = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
        assert not repeated & {(word, int(number)) for word, number in done}, "something recorded was done again"
        acknowledged, sessions = now, sessions + 1
        if not killed:
            break
    assert kills == kills_wanted, "the run ended before it was killed often enough"
    assert content(acknowledged[1:]) == expected


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_workers_end_with_a_killed_search(tmp_path):
    log = tmp_path / "log"
    process = start(tmp_path / "run", log, workers=2)
    with process.stderr:
        assert kill_when_it_has_worked(process, log, 0.1)

    deadline = time.monotonic() + 10
    while left := children_with(str(tmp_path)):
        assert time.monotonic() < deadline, f"processes {left} outlived the search"
        time.sleep(0.05)


def children_with(text):
    """Processes other than this one whose environment holds a text."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if text.encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found
