"""Damaged .tflite files against importer and lowering: each must end in a typed error, or in a graph that lowers.

Files are derived from generated layers and from the MLPerf Tiny models, where these are found: truncated, with flipped
bits, with hostile sizes and offsets. They are read by a process with bounded memory, each under an alarm. A case is its
seed and number; ``--case`` writes that file, so that it can be looked at.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import signal
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from _figures import options, report
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.damage import damage, small_model, try_model  # noqa: E402

CASES = {True: 3_000, False: 120_000}
"""By --quick."""
BLOCK = 1_000
REAL_SHARE = 0.1
CASE_SECONDS = 10
MEMORY_BYTES = 1 << 30
"""Address space that a case may take beyond what the process has at its start."""


@dataclass
class Outcome:
    """Of a block of cases."""

    accepted: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    crashes: dict[str, int] = field(default_factory=dict)
    """Number of the first case by what went wrong."""
    crashed: int = 0
    slowest: tuple[float, int] = (0.0, 0)
    """CPU seconds and number of that case."""
    peak_mib: float = 0.0

    def add(self, other: Outcome) -> None:
        self.accepted += other.accepted
        self.refused += other.refused
        self.crashes = other.crashes | self.crashes
        self.crashed += other.crashed
        self.slowest = max(self.slowest, other.slowest)
        self.peak_mib = max(self.peak_mib, other.peak_mib)


@cache
def real_models(folder: Path) -> tuple[bytes, ...]:
    return tuple(path.read_bytes() for path in sorted(folder.glob("*.tflite")))


def case(seed: int, number: int, folder: Path) -> tuple[str, bytes]:
    """What the file is derived from, and its bytes."""
    rng = random.Random(f"{seed} {number}")
    if rng.random() < REAL_SHARE and real_models(folder):
        return "MLPerf Tiny", damage(rng.choice(real_models(folder)), rng)
    return "generated", damage(small_model(rng), rng)


def _expire(_signal: int, _frame: object) -> None:
    raise TimeoutError(f"no answer within {CASE_SECONDS} s")


def run_block(seed: int, first: int, count: int, folder: Path) -> Outcome:
    outcome = Outcome()
    for number in range(first, first + count):
        origin, data = case(seed, number, folder)
        began = time.process_time()
        signal.setitimer(signal.ITIMER_REAL, CASE_SECONDS)
        try:
            (outcome.accepted if try_model(data, number) else outcome.refused)[origin] += 1
        except Exception as exc:
            outcome.crashed += 1
            outcome.crashes.setdefault(f"{type(exc).__name__}: {exc} ({place(exc)})", number)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        outcome.slowest = max(outcome.slowest, (time.process_time() - began, number))
    outcome.peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return outcome


def place(exc: BaseException) -> str:
    """File and line where an exception was raised."""
    trace = exc.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "?" if trace is None else f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"


def start_worker() -> None:
    signal.signal(signal.SIGALRM, _expire)
    with Path("/proc/self/statm").open() as statm:
        now = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY_BYTES, now + MEMORY_BYTES))


def run_campaign(seed: int, cases: int, folder: Path) -> Outcome:
    outcome = Outcome()
    pool = ProcessPoolExecutor(1, initializer=start_worker)
    for first in range(0, cases, BLOCK):
        try:
            outcome.add(pool.submit(run_block, seed, first, min(BLOCK, cases - first), folder).result())
        except BrokenProcessPool:
            outcome.add(Outcome(crashes={f"the process died among cases {first} to {first + BLOCK}": first}, crashed=1))
            pool = ProcessPoolExecutor(1, initializer=start_worker)
    pool.shutdown()
    return outcome


def show(outcome: Outcome) -> None:
    table = Table(title="damaged .tflite files")
    for name in ("derived from", "cases", "typed errors", "accepted"):
        table.add_column(name, justify="left" if name == "derived from" else "right")
    for origin in sorted(outcome.accepted.keys() | outcome.refused.keys()):
        accepted, refused = outcome.accepted[origin], outcome.refused[origin]
        table.add_row(origin, f"{accepted + refused:,}", f"{refused:,}", f"{accepted:,}")
    Console(width=100).print(table)
    print(f"slowest: case {outcome.slowest[1]}")
    for what, number in sorted(outcome.crashes.items(), key=lambda item: item[1]):
        print(f"case {number}: {what}")


def add_options(parser: argparse.ArgumentParser) -> None:
    data = os.environ.get("CREST_DATA") or ROOT.parent / "shared" / "data"
    parser.add_argument("--models", type=Path, default=Path(data) / "silicon" / "models", help="folder of the .tflite")
    parser.add_argument("--case", type=int, help="only write the file of this case to damaged.tflite")


def main() -> None:
    arguments = options(__doc__ or "", add_options)
    if arguments.case is not None:
        Path("damaged.tflite").write_bytes(case(arguments.seed, arguments.case, arguments.models)[1])
        return
    outcome = run_campaign(arguments.seed, CASES[arguments.quick], arguments.models)
    show(outcome)
    refused, accepted = sum(outcome.refused.values()), sum(outcome.accepted.values())
    figures = {
        "cases": refused + accepted + outcome.crashed, "typed_errors": refused, "accepted": accepted,
        "crashes": outcome.crashed, "slowest_case_seconds": outcome.slowest[0], "peak_mib": outcome.peak_mib,
    }  # fmt: skip
    report(figures, arguments.json)
    sys.exit(outcome.crashed > 0)


if __name__ == "__main__":
    main()
