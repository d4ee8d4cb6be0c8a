"""A cadenced run on a virtual board: what the firmware answers, beside what the machine's virtual time shows."""

from __future__ import annotations

import zlib
from typing import Final

from crest.backends.base import CadencedRecord, Segment
from crest.backends.session import Session
from crest.compiler.program import Program
from crest.emulators.base import TimedMachine
from crest.emulators.timeline import Timeline
from crest.energy import load_power
from crest.errors import BackendError, EmulationError, StudyError
from crest.schedule import Cadenced

_TIME_US_MAX: Final = (1 << 32) - 1
# The firmware reads its timer a few hundred instructions after the moment that it measures.
_READING_S: Final = 1e-3


def record_cadence(
    backend: str,
    machine: TimedMachine,
    session: Session,
    program: Program,
    schedule: Cadenced,
    windows: int,
    wake_up_ms: float | None,
) -> CadencedRecord:
    """Run the windows, and cut the machine's timeline at the first wake-up and at the end; see ``run_cadenced``."""
    if windows < 1:
        raise StudyError(f"{windows} windows: at least one has to run")
    if schedule.sampling:
        raise StudyError(
            "a board runs its windows without sensors",
            hint="what they draw is part of the analytic schedule alone: docs/schedules.md",
        )
    period_us = _whole_us("a period", schedule.period_ms, 1)
    margin_us = _whole_us("a wake margin", schedule.wake_margin_ms, 0)
    clock_hz = max(program.target.clock_mhz) * 1e6
    if wake_up_ms is None:
        wake_up_ms = declared_wake_up_ms(program, schedule)
    machine.set_wake_up(schedule.sleep, round((wake_up_ms or 0.0) * 1e-3 * clock_hz))
    before = machine.timeline()
    first, unseen = len(before.windows), before.unseen_windows
    said = session.cadence(windows, period_us, schedule.sleep, margin_us)
    if said.crc != zlib.crc32(program.golden[-1].outputs):
        raise BackendError(f"{program.name}: wrong output at the end of a cadenced run")
    timeline = machine.timeline()
    if len(timeline.windows) - first != windows or timeline.unseen_windows != unseen:
        raise EmulationError(f"{windows} windows were run, {len(timeline.windows) - first} were timed")
    begin, end = _span(timeline, first)
    elapsed_s = (end - begin) / clock_hz
    if abs(said.elapsed_s - elapsed_s) > _READING_S + 2 / said.timer_hz:
        raise EmulationError(
            f"the board's timer says that the run took {said.elapsed_s:.6g} s, virtual time says {elapsed_s:.6g} s",
            hint="does an inference outlast the range of the timer? Take the other state, or a faster clock",
        )
    return CadencedRecord(
        backend=backend,
        elf_sha256=program.elf_sha256,
        clock_mhz=clock_hz * 1e-6,
        period_ms=schedule.period_ms,
        wake_margin_ms=schedule.wake_margin_ms,
        sleep=schedule.sleep,
        wake_up_ms=wake_up_ms,
        timer_hz=said.timer_hz,
        windows=windows,
        missed=said.missed,
        inference_cycles=sum(window.closed - window.opened for window in timeline.windows[first:]),
        segments=tuple(
            Segment(state=stretch.state, duration_ms=stretch.cycles / clock_hz * 1e3)
            for stretch in timeline.stretches(begin, end)
        ),
    )


def declared_wake_up_ms(program: Program, schedule: Cadenced) -> float | None:
    """What the energy model of the board says of a wake-up; None where it says nothing."""
    power = load_power(program.target, max(program.target.clock_mhz), program.layout.code)
    return power.states.between(schedule).wake_up_ms.value


def _whole_us(what: str, time_ms: float, least_us: int) -> int:
    time_us = round(time_ms * 1e3)
    if not least_us <= time_us <= _TIME_US_MAX or abs(time_us - time_ms * 1e3) > 1e-6:
        raise StudyError(
            f"a board cannot keep {what} of {time_ms:g} ms",
            hint=f"whole microseconds, from {least_us} to {_TIME_US_MAX}",
        )
    return time_us


def _span(timeline: Timeline, first: int) -> tuple[int, int]:
    """Cycles of the first wake-up and of the end: the wake-ups around the windows, or a window where none is."""
    opened, closed = timeline.windows[first].opened, timeline.windows[-1].closed
    releases = [rest.end for rest in timeline.rests if rest.end <= opened]
    ends = [rest.end for rest in timeline.rests if rest.begin >= closed]
    return (releases[-1] if releases else opened, ends[-1] if ends else closed)
