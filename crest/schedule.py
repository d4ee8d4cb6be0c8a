"""Schedules: when a board infers and what it does in between. Pure functions, no second emulation.

One window of a cadenced schedule, released every ``period_ms``::

    | wake-up | inference | sleep ............... |
    0         w           w + latency             period

    energy_per_window = wake_up_energy + run_power * latency + sleep_power * (period - w - latency)

A window that outlasts its period leaves no time to sleep; the next one begins when it ends, and the deadline counts
as missed. Power in uW, time in ms, energy in uJ: 1 uW * 1 ms = 1e-3 uJ.
"""

from __future__ import annotations

from functools import partial
from typing import Literal, NamedTuple

from pydantic import Field, model_validator

from crest.errors import StudyError
from crest.frozen import Frozen
from crest.intervals import combine
from crest.measurement import Estimate

SleepName = Literal["sleep", "deep_sleep"]

_UJ_PER_UW_MS = 1e-3


class Continuous(Frozen):
    """Inferences back to back; the board never sleeps and no deadline exists."""

    @property
    def label(self) -> str:
        """How records name this schedule."""
        return "continuous"


class Cadenced(Frozen):
    """One inference every ``period_ms``; the board waits in the named state in between."""

    period_ms: float = Field(gt=0, allow_inf_nan=False)
    sleep: SleepName = "deep_sleep"

    @property
    def label(self) -> str:
        """How records name this schedule, for example ``cadenced 200 ms deep_sleep``."""
        return f"cadenced {self.period_ms:g} ms {self.sleep}"


Schedule = Continuous | Cadenced


class SleepState(Frozen):
    """A state between two inferences.

    ``wake_up_energy_uj`` is everything drawn from the wake-up event to the first instruction of the inference, which
    comes ``wake_up_ms`` later.
    """

    power_uw: Estimate
    wake_up_ms: Estimate
    wake_up_energy_uj: Estimate

    @classmethod
    def unknown(cls, reason: str) -> SleepState:
        """A state of which nothing is known, and why."""
        absent = Estimate.absent(reason)
        return cls(power_uw=absent, wake_up_ms=absent, wake_up_energy_uj=absent)

    @property
    def exact(self) -> SleepState:
        """This state without intervals."""
        names = ("power_uw", "wake_up_ms", "wake_up_energy_uj")
        return self.model_copy(update={name: getattr(self, name).exact for name in names})


class PowerStates(Frozen):
    """Power of a board in each state; ``volt`` is the supply of the rail it is measured on, None if unknown.

    ``ranking_run_power_uw`` is the same power with the interval of what differs from one program of the board to the
    next; absent where that is not known.
    """

    run_power_uw: Estimate
    ranking_run_power_uw: Estimate = Estimate.absent("nothing tells errors of one program from common ones")
    sleep: SleepState
    deep_sleep: SleepState
    volt: float | None

    @classmethod
    def unknown(cls, reason: str, volt: float | None) -> PowerStates:
        """Power of a board of which nothing is known, and why."""
        state, absent = SleepState.unknown(reason), Estimate.absent(reason)
        return cls(run_power_uw=absent, ranking_run_power_uw=absent, sleep=state, deep_sleep=state, volt=volt)

    @property
    def ranking(self) -> PowerStates:
        """These states with the interval of what differs from one program to the next: none at rest."""
        return self.model_copy(
            update={
                "run_power_uw": self.ranking_run_power_uw,
                "sleep": self.sleep.exact,
                "deep_sleep": self.deep_sleep.exact,
            }
        )

    @model_validator(mode="after")
    def _running_draws_most(self) -> PowerStates:
        floor = _low(self.run_power_uw)
        for name, state in (("sleep", self.sleep), ("deep_sleep", self.deep_sleep)):
            ceiling = _high(state.power_uw)
            if floor is not None and ceiling is not None and ceiling > floor:
                raise ValueError(f"{name} may draw {ceiling:g} uW, more than running does at least ({floor:g} uW)")
        return self

    def between(self, schedule: Cadenced) -> SleepState:
        """The state in which the board waits for its next release."""
        return self.deep_sleep if schedule.sleep == "deep_sleep" else self.sleep


class Characterisation(Frozen):
    """What a program costs under a schedule; field names are those of ``Measurement``.

    ``deadline_missed`` is None without a deadline (continuous), or when ``notes`` says that it is not known.
    """

    energy_per_inference_uj: Estimate
    energy_per_window_uj: Estimate
    average_power_uw: Estimate
    duty_cycle: Estimate
    deadline_missed: bool | None
    notes: tuple[str, ...] = ()


class _Window(NamedTuple):
    """One cadenced window with every quantity fixed, in the order in which estimates are combined."""

    latency_ms: float
    run_power_uw: float
    sleep_power_uw: float
    wake_up_ms: float
    wake_up_energy_uj: float

    @property
    def active_ms(self) -> float:
        return self.wake_up_ms + self.latency_ms

    def energy_uj(self, elapsed_ms: float) -> float:
        """Energy drawn from the release to ``elapsed_ms`` after it; the wake-up draws evenly over its time."""
        waking = min(1.0, elapsed_ms / self.wake_up_ms) if self.wake_up_ms > 0 else float(elapsed_ms > 0)
        running_ms = min(max(elapsed_ms - self.wake_up_ms, 0.0), self.latency_ms)
        asleep_ms = max(elapsed_ms - self.active_ms, 0.0)
        return (
            waking * self.wake_up_energy_uj
            + (self.run_power_uw * running_ms + self.sleep_power_uw * asleep_ms) * _UJ_PER_UW_MS
        )


def characterise(
    latency_ms: Estimate, states: PowerStates, schedule: Schedule, *, reserve_cpu_pct: float = 0.0
) -> Characterisation:
    """Turn the latency of a program and the power of its board into what the schedule costs.

    Args:
        latency_ms: one inference at the clock of ``states``.
        states: power by state, from an energy model.
        schedule: continuous or cadenced.
        reserve_cpu_pct: share of each period (0 up to 100) that the deadline leaves to the application.

    Returns:
        Energies in uJ, power in uW and the duty cycle (0..1, wake-up counted as active), with intervals that
        ``crest.intervals.combine`` carries through. The deadline is judged on the values, not on the interval
        ends; a note says when the interval straddles it.

    Raises:
        StudyError: ``reserve_cpu_pct`` outside of [0, 100).
    """
    if not 0 <= reserve_cpu_pct < 100:
        raise StudyError(
            f"reserve.cpu_pct: {reserve_cpu_pct:g} is outside of [0, 100)", hint="give the share the application needs"
        )
    per_inference = combine(_inference_energy_uj, latency_ms, states.run_power_uw)
    if isinstance(schedule, Continuous):
        return Characterisation(
            energy_per_inference_uj=per_inference,
            energy_per_window_uj=per_inference,
            average_power_uw=states.run_power_uw,
            duty_cycle=Estimate(value=1.0, origin=latency_ms.origin),
            deadline_missed=None,
        )
    period_ms = schedule.period_ms
    arguments = _arguments(latency_ms, states, schedule)
    bends = _bends(states.between(schedule), period_ms)
    missed, notes = _deadline(latency_ms, states.between(schedule), period_ms * (1 - reserve_cpu_pct / 100))
    return Characterisation(
        energy_per_inference_uj=per_inference,
        energy_per_window_uj=combine(partial(_window_energy_uj, period_ms), *arguments, first_breakpoints=bends),
        average_power_uw=combine(partial(_average_power_uw, period_ms), *arguments, first_breakpoints=bends),
        duty_cycle=combine(partial(_duty_cycle, period_ms), latency_ms, states.between(schedule).wake_up_ms),
        deadline_missed=missed,
        notes=notes,
    )


def energy_between_uj(
    latency_ms: Estimate, states: PowerStates, schedule: Schedule, start_ms: float, end_ms: float
) -> Estimate:
    """Energy drawn between two moments of a schedule whose first release is at 0 ms: what a meter integrates.

    The span may begin and end inside a window; then, or when windows outlast their period, an end of the interval
    is exact to within what the board draws in one wake-up time.

    Raises:
        StudyError: a span that does not run forward from the first release.
    """
    if not 0 <= start_ms <= end_ms:
        raise StudyError(f"a span from {start_ms:g} ms to {end_ms:g} ms does not run forward from the first release")
    if isinstance(schedule, Continuous):
        return combine(lambda power: power * (end_ms - start_ms) * _UJ_PER_UW_MS, states.run_power_uw)

    def drawn(*quantities: float) -> float:
        window = _Window(*quantities)
        return _elapsed_energy_uj(window, schedule.period_ms, end_ms) - _elapsed_energy_uj(
            window, schedule.period_ms, start_ms
        )

    return combine(drawn, *_arguments(latency_ms, states, schedule))


def battery_life_h(average_power_uw: Estimate, capacity_mah: float, volt: float | None) -> Estimate:
    """Hours that a battery of ``capacity_mah`` lasts when it delivers ``volt`` to the rail of the energy model.

    Converter losses, self-discharge and everything outside of the measuring boundary are not counted.

    Raises:
        StudyError: a capacity that is not positive.
    """
    if not capacity_mah > 0:
        raise StudyError(f"battery capacity must be positive, got {capacity_mah:g} mAh")
    if volt is None:
        return Estimate.absent("the supply voltage of this energy model is not known")
    return combine(lambda power_uw: capacity_mah * volt * 1e3 / power_uw, average_power_uw)


def _low(estimate: Estimate) -> float | None:
    return estimate.value if estimate.low is None else estimate.low


def _high(estimate: Estimate) -> float | None:
    return estimate.value if estimate.high is None else estimate.high


def _arguments(latency_ms: Estimate, states: PowerStates, schedule: Cadenced) -> tuple[Estimate, ...]:
    """The estimates behind a ``_Window``, in its order."""
    state = states.between(schedule)
    return (latency_ms, states.run_power_uw, state.power_uw, state.wake_up_ms, state.wake_up_energy_uj)


def _bends(state: SleepState, period_ms: float) -> tuple[float, ...]:
    """Latencies at which a window begins to outlast its period."""
    ends = (_low(state.wake_up_ms), _high(state.wake_up_ms))
    return tuple(period_ms - end for end in ends if end is not None)


def _inference_energy_uj(latency_ms: float, run_power_uw: float) -> float:
    return latency_ms * run_power_uw * _UJ_PER_UW_MS


def _window_energy_uj(period_ms: float, *quantities: float) -> float:
    window = _Window(*quantities)
    return window.energy_uj(max(period_ms, window.active_ms))


def _average_power_uw(period_ms: float, *quantities: float) -> float:
    window = _Window(*quantities)
    length_ms = max(period_ms, window.active_ms)
    return window.energy_uj(length_ms) / length_ms / _UJ_PER_UW_MS


def _duty_cycle(period_ms: float, latency_ms: float, wake_up_ms: float) -> float:
    return min(1.0, (latency_ms + wake_up_ms) / period_ms)


def _elapsed_energy_uj(window: _Window, period_ms: float, elapsed_ms: float) -> float:
    length_ms = max(period_ms, window.active_ms)
    whole, rest_ms = divmod(elapsed_ms, length_ms)
    return whole * window.energy_uj(length_ms) + window.energy_uj(rest_ms)


def _deadline(latency_ms: Estimate, state: SleepState, available_ms: float) -> tuple[bool | None, tuple[str, ...]]:
    """Whether wake-up and inference outlast the time available, and what is uncertain about it."""
    busy = combine(lambda latency, wake_up: latency + wake_up, latency_ms, state.wake_up_ms)
    if busy.value is None:
        if latency_ms.value is not None and latency_ms.value > available_ms:
            return True, ()
        return None, (f"whether the deadline is met is not known: {busy.reason}",)
    missed = busy.value > available_ms
    if busy.low is not None and busy.high is not None and busy.low <= available_ms < busy.high:
        verb = "missed" if missed else "met"
        return missed, (
            f"the deadline of {available_ms:.4g} ms is {verb} by {abs(available_ms - busy.value):.3g} ms, "
            f"within the interval [{busy.low:.4g}, {busy.high:.4g}] ms of wake-up and latency",
        )
    return missed, ()
