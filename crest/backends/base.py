"""What a backend is: it runs a program on a target and returns what it saw."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from pydantic import Field

from crest.compiler.program import Program
from crest.emulators.profile import ExecutionProfile
from crest.emulators.timeline import State
from crest.frozen import Frozen
from crest.intervals import combine
from crest.measurement import Estimate
from crest.schedule import Cadenced, PowerStates, SleepName


class RunRecord(Frozen):
    """One program on one target: what it executed, after every golden output was found right."""

    backend: str
    elf_sha256: str
    golden_pairs_checked: int
    profile: ExecutionProfile


class Segment(Frozen):
    """A stretch of time in one state.

    ``wake_up`` lasts from the event that ends a wait as long as wake-ups are declared to take: what the firmware does
    meanwhile is part of it, and the inference begins no sooner. Of no length, it still is one wake-up.
    """

    state: State
    duration_ms: float = Field(ge=0)


class CadencedRecord(Frozen):
    """One program that ran at a fixed period on one target, after its golden output was found right.

    Attributes:
        clock_mhz: of the core.
        wake_up_ms: what each wake-up was taken to last; None where nothing is known of it, which takes no time.
        timer_hz: of the timer that wakes the board up and releases the windows, at its counts.
        windows: inferences that were run.
        missed: those that ended after their period.
        inference_cycles: of all latency windows together.
        segments: in order, from the first wake-up to the end of the last period, or of the last window where that is
            later.
    """

    backend: str
    elf_sha256: str
    clock_mhz: float
    period_ms: float
    wake_margin_ms: float
    sleep: SleepName
    wake_up_ms: float | None
    timer_hz: int
    windows: int
    missed: int
    inference_cycles: int
    segments: tuple[Segment, ...]

    @property
    def duration_ms(self) -> float:
        """All segments together."""
        return sum(segment.duration_ms for segment in self.segments)

    @property
    def wake_ups(self) -> int:
        """How often the board woke up, to run a window or to set its timer again in a long wait."""
        return sum(segment.state == "wake_up" for segment in self.segments)

    def energy_uj(self, states: PowerStates) -> Estimate:
        """What the board drew, without sensors: power by state over the time spent there, and the wake-ups.

        Args:
            states: power by state, of this board at this clock.
        """
        rest = states.between(Cadenced(period_ms=self.period_ms, sleep=self.sleep))
        run_ms, rest_ms, wake_ups = self.time_ms("run"), self.time_ms(self.sleep), self.wake_ups
        return combine(
            lambda run_uw, rest_uw, wake_uj: 1e-3 * (run_uw * run_ms + rest_uw * rest_ms) + wake_uj * wake_ups,
            states.run_power_uw,
            rest.power_uw,
            rest.wake_up_energy_uj,
        )

    def time_ms(self, state: State) -> float:
        """Time spent in a state."""
        return sum(segment.duration_ms for segment in self.segments if segment.state == state)


class Backend(Protocol):
    """Runs programs; ``identity`` names the backend and the version of whatever counts."""

    identity: str

    def run(self, program: Program) -> RunRecord:
        """Run a program and check its golden outputs on the target.

        Raises:
            EmulationError: the firmware faulted.
            BackendError: the session broke, or an output is wrong.
        """
        ...


@runtime_checkable
class CadencedBackend(Backend, Protocol):
    """A backend whose boards also wait between inferences."""

    def run_cadenced(self, program: Program, schedule: Cadenced, windows: int) -> CadencedRecord:
        """Run inferences at the period of a schedule, and let the board wait in between.

        Raises:
            StudyError: a period or margin that is not a whole number of microseconds, or no windows.
            SleepStateError: the board cannot wait in that state, or the engine does not know how long it waits.
            EmulationError: the firmware faulted.
            BackendError: the session broke, or an output is wrong.
        """
        ...
