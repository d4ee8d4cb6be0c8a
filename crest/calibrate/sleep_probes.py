"""Sleep probes: one tiny probe at several periods in each state, so that power asleep and energy to wake up part."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, get_args

from crest.backends.base import Backend, CadencedBackend, CadencedRecord
from crest.calibrate.probe_build import build_probe
from crest.calibrate.probe_specs import SPIN
from crest.calibrate.rows import ProbeRun
from crest.compiler.program import Program
from crest.compiler.toolchain import ZIG, CompilerChoice, target_toolchain
from crest.errors import SleepStateError
from crest.schedule import Cadenced, SleepName
from crest.targets import Target
from crest.timing import load_cycle_model

SLEEP_WINDOWS: Final = 8
_INSTRUCTIONS: Final = 2_000
# In times of what one repetition takes, or of a millisecond where that is longer.
_PERIODS: Final = (4, 64, 4096)


@dataclass(frozen=True)
class SleepRuns:
    """Rows of the states that a board can wait in, and why there is none of the others, by state or by row."""

    rows: list[ProbeRun] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


def sleep_probe(target: Target, clock_mhz: float | None = None, compiler: CompilerChoice = ZIG) -> Program:
    """Build the probe that sleep is measured around: so short that the board mostly waits.

    Raises:
        StudyError: no such clock.
        CapacityError: it does not fit.
        ToolchainError: the compiler is not installed, or failed.
    """
    board = target.at(clock_mhz)
    toolchain = target_toolchain(compiler.cc, board, compiler.cflags)
    return build_probe(SPIN, board, toolchain, board.code_region, _INSTRUCTIONS)


def sleep_schedules(run_ms: float, sleep: SleepName) -> Iterator[Cadenced]:
    """Periods at which a program of that length leaves a board from three quarters of its time to all but a trace."""
    shortest_ms = max(1, math.ceil(run_ms))
    return (Cadenced(period_ms=shortest_ms * factor, sleep=sleep) for factor in _PERIODS)


def run_sleep_probes(backend: Backend, program: Program, windows: int = SLEEP_WINDOWS) -> SleepRuns:
    """Run a probe at several periods in each sleep state that backend and board have.

    Args:
        backend: what runs the program; one that cannot wait between two inferences gives no rows.
        program: from ``sleep_probe``.
        windows: of each run.

    Returns:
        A row for each state and period; its repetition is one window, wake-up and sleep included.

    Raises:
        EmulationError: the firmware faulted.
        BackendError: the session broke, or an output is wrong.
    """
    runs = SleepRuns()
    if not isinstance(backend, CadencedBackend):
        reason = f"{backend.identity} cannot let a board wait between two inferences"
        runs.left_out.update(dict.fromkeys(get_args(SleepName), reason))
        return runs
    profile = backend.run(program).profile
    cycles = load_cycle_model(program.target, program.layout.code).total_cycles(profile).value
    assert cycles is not None
    run_ms = cycles / max(program.target.clock_mhz) * 1e-3
    for sleep in get_args(SleepName):
        for schedule in sleep_schedules(run_ms, sleep):
            try:
                record = backend.run_cadenced(program, schedule, windows)
            except SleepStateError as exc:
                runs.left_out[sleep] = exc.message
                break
            _add(runs, program, record, profile.total())
    return runs


def _add(runs: SleepRuns, program: Program, record: CadencedRecord, counts: dict[str, int]) -> None:
    name = f"{record.sleep}_{record.period_ms:g}ms"
    wake_ups, rest = divmod(record.wake_ups, record.windows)
    if record.missed or rest:
        runs.left_out[name] = f"{record.missed} windows outlasted it, {record.wake_ups} wake-ups in {record.windows}"
        return
    runs.rows.append(
        ProbeRun(
            name=name,
            group="probe",
            clock_mhz=record.clock_mhz,
            fetch_region=program.layout.code,
            counts=counts,
            run_ms=record.time_ms("run") / record.windows,
            sleep=record.sleep,
            sleep_ms=record.time_ms(record.sleep) / record.windows,
            wake_ups=wake_ups,
        )
    )
