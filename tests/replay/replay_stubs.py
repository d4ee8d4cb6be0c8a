"""A recorded run of the stub search, and a quick deterministic pricer; also a program, for tests that kill it.

The first board takes half the time of the run's, and a network of an odd number twice the energy; the second one takes
four times as long, does not fit what is large and faults on some.
"""

import hashlib
import json
import sys
import time
from pathlib import Path

from crest.errors import CapacityError, EmulationError
from crest.ledger import TrialRecord, read_run
from crest.placement import AS_TARGET
from crest.replay import ReplayPlan, read_source, run_replay
from crest.replay.plan import ReplayBoard
from crest.replay.pricer import Replayed
from crest.schedule import Cadenced
from crest.targets import load_target
from tests.search.search_stubs import make_plan, measurement, run_stub

BOARDS = ("nucleo-l4r5zi", "nucleo-g0b1re")
LARGE_MS = 40
FAULTY = 3


def recorded_run(folder, **options):
    """A finished run whose trained networks have model files."""
    run_stub(make_plan(**options), folder)
    (folder / "models").mkdir()
    for record in read_run(folder)[1]:
        if isinstance(record, TrialRecord) and record.model:
            (folder / record.model).write_bytes(f"model {record.number}".encode())
    return folder


def make_replay(run, *, targets=BOARDS, schedule=None, policy=None, all_trials=False, metric="energy_per_inference_uj"):
    source = read_source(run, all_trials=all_trials)
    boards = tuple(ReplayBoard(load_target(name).at(None), AS_TARGET) for name in targets)
    return ReplayPlan(source, boards, schedule or Cadenced(period_ms=200), policy or source.study.policy, metric)


class StubPricer:
    """Prices without building; notes in ``log`` what it was asked for."""

    def __init__(self, plan, log=None, delay_s=0.0):
        self.plan = plan
        self.log = log
        self.delay_s = delay_s

    def key(self, network, board):
        return hashlib.sha256(f"{network.model_sha256} {board.label} {self.plan.schedule.label}".encode()).hexdigest()

    def price(self, network, board):
        if self.log is not None:
            with Path(self.log).open("a") as file:
                file.write(f"{network.number} {board.target.name}\n")
        time.sleep(self.delay_s)
        latency_ms = network.measurement.latency_ms.value
        energy_uj = network.measurement.energy_per_inference_uj.value
        if board.target.name == BOARDS[0]:
            return Replayed(measurement(latency_ms / 2, energy_uj=energy_uj * (1 + network.number % 2)), "profile")
        if latency_ms > LARGE_MS:
            raise CapacityError("does not fit", hint="take fewer filters")
        if network.number % 7 == FAULTY:
            raise EmulationError("bus fault at 0x20041000")
        period_ms = self.plan.schedule.period_ms
        return Replayed(measurement(latency_ms * 4, energy_uj=energy_uj * 9, missed=latency_ms * 4 > period_ms), "p")


def main(run, folder, log, delay_s):
    """Replay to the end with delays; the tests kill this."""
    plan = make_replay(Path(run), all_trials=True)
    run_replay(plan, Path(folder), StubPricer(plan, log, float(delay_s)))


def priced(log):
    """What a pricer was asked for: (trial, target)."""
    return [
        tuple(json.loads(f'[{n}, "{t}"]')) for n, t in (line.split() for line in Path(log).read_text().splitlines())
    ]


if __name__ == "__main__":
    main(*sys.argv[1:])
