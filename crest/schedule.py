"""Schedules: when a board infers and what it does in between. Pure functions, no second emulation.

One window of a cadenced schedule begins with the event that wakes the board up, every ``period_ms``::

    | wake-up | awake, waiting | inference | sleep ............ |
    0         w                r           r + latency          period

    r                 = max(w, wake_margin)
    active            = r + latency
    energy_per_window = wake_up_energy + run_power * (r - w + latency) + sleep_power * (period - active)
                        + sampling_power * collect
    duty_cycle        = active / period

``wake_margin_ms`` is how long before the release of its inference a board is woken up, so that neither an inexact
sleep timer nor a slow oscillator makes it late. Without one the wake-up event is the release. A board that is awake
before the release spins for it at run power; a wake-up that takes longer than the margin delays the inference.

``sampling`` is what sensors draw, on top of the board, while they collect the next window: the last ``collect_ms`` of
a period, by default all of it. It changes no state of the board; that the board can collect in its sleep state (a FIFO
in the sensor, or DMA that runs on) is the user's to know.

A window that outlasts its period leaves no time to sleep. The next one begins when it ends, and each counts as missed:
windows follow each other every ``active`` ms, so that a share of 1 - period / active of the releases is skipped, has no
inference of its own. Power in uW, time in ms, energy in uJ: 1 uW * 1 ms = 1e-3 uJ.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import add
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from crest.errors import StudyError
from crest.frozen import Frozen
from crest.intervals import combine
from crest.measurement import Estimate
from crest.yaml_io import validate

SleepName = Literal["sleep", "deep_sleep"]

LARGEST_BATTERY_MAH = 1e7
"""Ten thousand ampere-hours: what is larger is a slip of the unit."""

_UJ_PER_UW_MS = 1e-3
_MS_PER_H = 3.6e6
_H_PER_YEAR = 8766.0


class Continuous(Frozen):
    """Inferences back to back; the board never sleeps and no deadline exists."""

    @property
    def label(self) -> str:
        """How records name this schedule."""
        return "continuous"


class Sampling(Frozen):
    """What sensors draw while they collect the next window, and where that number comes from."""

    power_uw: float = Field(ge=0, allow_inf_nan=False, description="what the sensors draw while they collect, in uW")
    collect_ms: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="how long they collect in a period; by default all of it",
    )
    reason: str = Field(min_length=1, description="where this power comes from: a datasheet line, a measurement")

    @property
    def label(self) -> str:
        """Short text, for example ``sampling 500 uW for 100 ms``."""
        return f"sampling {self.power_uw:g} uW" + (f" for {self.collect_ms:g} ms" if self.collect_ms else "")


def _margin_fits(wake_margin_ms: float, info: ValidationInfo) -> float:
    period_ms = info.data.get("period_ms")
    if period_ms is not None and wake_margin_ms >= period_ms:
        raise ValueError(f"{wake_margin_ms:g} leaves nothing of period_ms {period_ms:g}")
    return wake_margin_ms


def _sampling_fits(sampling: Sampling | None, info: ValidationInfo) -> Sampling | None:
    period_ms = info.data.get("period_ms")
    if period_ms is not None and sampling and sampling.collect_ms and sampling.collect_ms > period_ms:
        raise ValueError(f"collect_ms {sampling.collect_ms:g} is longer than period_ms {period_ms:g}")
    return sampling


WakeMarginMs = Annotated[float, AfterValidator(_margin_fits)]
"""Shorter than the ``period_ms`` that stands before it, where that is known."""
SamplingInPeriod = Annotated[Sampling | None, AfterValidator(_sampling_fits)]
"""Collects for no longer than the ``period_ms`` that stands before it, where that is known."""


class Cadenced(Frozen):
    """One inference every ``period_ms``; the board waits in the named state in between.

    ``wake_margin_ms`` and ``sampling`` mean what the text above says.
    """

    period_ms: float = Field(gt=0, allow_inf_nan=False)
    sleep: SleepName = "deep_sleep"
    wake_margin_ms: WakeMarginMs = Field(default=0.0, ge=0, allow_inf_nan=False)
    sampling: SamplingInPeriod = None

    @property
    def label(self) -> str:
        """How records name this schedule, for example ``cadenced 200 ms deep_sleep``."""
        margin = f", woken {self.wake_margin_ms:g} ms early" if self.wake_margin_ms else ""
        sampling = f", {self.sampling.label}" if self.sampling else ""
        return f"cadenced {self.period_ms:g} ms {self.sleep}{margin}{sampling}"


Schedule = Continuous | Cadenced


def cadenced(
    period_ms: float,
    sleep: SleepName,
    wake_margin_ms: float = 0.0,
    sampling: Sampling | None = None,
    *,
    source: str = "schedule",
) -> Cadenced:
    """A cadenced schedule of what a user wrote; ``source`` is named in errors.

    Raises:
        StudyError: it makes no sense: a margin or a time of collecting that is longer than the period.
    """
    written = {"period_ms": period_ms, "sleep": sleep, "wake_margin_ms": wake_margin_ms, "sampling": sampling}
    return validate(written, Cadenced, source, StudyError)


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


_NO_DEADLINE = Estimate.absent("inferences back to back have no deadline")


class Characterisation(Frozen):
    """What a program costs under a schedule; field names are those of ``Measurement``.

    ``deadline_missed`` is None without a deadline (continuous), or when ``notes`` says that it is not known.
    ``deadline_misses_per_h`` counts the releases whose result is not there in time; ``skipped_share`` (0..1) of all
    releases never have an inference of their own.
    """

    energy_per_inference_uj: Estimate
    energy_per_window_uj: Estimate
    average_power_uw: Estimate
    duty_cycle: Estimate
    deadline_missed: bool | None
    deadline_misses_per_h: Estimate = _NO_DEADLINE
    skipped_share: Estimate = _NO_DEADLINE
    notes: tuple[str, ...] = ()


class Window(NamedTuple):
    """One cadenced window with every quantity fixed, in the order in which estimates are combined."""

    schedule: Cadenced
    latency_ms: float
    run_power_uw: float
    sleep_power_uw: float
    wake_up_ms: float
    wake_up_energy_uj: float

    @property
    def awake_ms(self) -> float:
        """Time at run power: what is left of the margin after the wake-up, and the inference."""
        return max(self.schedule.wake_margin_ms - self.wake_up_ms, 0.0) + self.latency_ms

    @property
    def active_ms(self) -> float:
        """From the wake-up event to the end of the inference."""
        return max(self.wake_up_ms, self.schedule.wake_margin_ms) + self.latency_ms

    @property
    def length_ms(self) -> float:
        """From one wake-up event to the next."""
        return max(self.schedule.period_ms, self.active_ms)

    @property
    def rest_uj_per_ms(self) -> float:
        """What each further millisecond of a period that is kept costs the board."""
        return self.sleep_power_uw * _UJ_PER_UW_MS

    @property
    def fixed_uj(self) -> float:
        """What a window of the board costs beside ``rest_uj_per_ms`` times its period, where that is kept."""
        awake_uj = self.run_power_uw * self.awake_ms * _UJ_PER_UW_MS
        return self.wake_up_energy_uj + awake_uj - self.rest_uj_per_ms * self.active_ms

    def energy_uj(self, elapsed_ms: float) -> float:
        """Energy of the board from the wake-up event on; the wake-up draws evenly over its time."""
        waking = min(1.0, elapsed_ms / self.wake_up_ms) if self.wake_up_ms > 0 else float(elapsed_ms > 0)
        running_ms = min(max(elapsed_ms - self.wake_up_ms, 0.0), self.awake_ms)
        asleep_ms = max(elapsed_ms - self.active_ms, 0.0)
        return (
            waking * self.wake_up_energy_uj
            + (self.run_power_uw * running_ms + self.sleep_power_uw * asleep_ms) * _UJ_PER_UW_MS
        )

    def sampling_uj(self, elapsed_ms: float) -> float:
        """Energy of the sensors from the wake-up event on; they collect at the end of a window."""
        sampling = self.schedule.sampling
        if sampling is None:
            return 0.0
        collect_ms = self.length_ms if sampling.collect_ms is None else sampling.collect_ms
        return sampling.power_uw * max(elapsed_ms - (self.length_ms - collect_ms), 0.0) * _UJ_PER_UW_MS


def window_estimates(latency_ms: Estimate, states: PowerStates, schedule: Cadenced) -> tuple[Estimate, ...]:
    """The estimates behind a ``Window``, in its order."""
    state = states.between(schedule)
    return (latency_ms, states.run_power_uw, state.power_uw, state.wake_up_ms, state.wake_up_energy_uj)


def kept_share(reserve_cpu_pct: float) -> float:
    """The share of a period (0..1) that a window may take when the application needs ``reserve_cpu_pct`` of it.

    Raises:
        StudyError: ``reserve_cpu_pct`` outside of [0, 100).
    """
    if not 0 <= reserve_cpu_pct < 100:
        raise StudyError(
            f"reserve.cpu_pct: {reserve_cpu_pct:g} is outside of [0, 100)", hint="give the share the application needs"
        )
    return 1 - reserve_cpu_pct / 100


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
    kept = kept_share(reserve_cpu_pct)
    per_inference = combine(_inference_energy_uj, latency_ms, states.run_power_uw)
    if isinstance(schedule, Continuous):
        return Characterisation(
            energy_per_inference_uj=per_inference,
            energy_per_window_uj=per_inference,
            average_power_uw=states.run_power_uw,
            duty_cycle=Estimate(value=1.0, origin=latency_ms.origin),
            deadline_missed=None,
        )
    arguments = window_estimates(latency_ms, states, schedule)
    bends = _bends(states.between(schedule), schedule)
    deadline = _deadline(latency_ms, states.between(schedule), schedule, kept)
    return Characterisation(
        energy_per_inference_uj=per_inference,
        energy_per_window_uj=_over_windows(schedule, _window_energy_uj, arguments, bends),
        average_power_uw=_over_windows(schedule, _average_power_uw, arguments, bends),
        duty_cycle=combine(partial(_duty_cycle, schedule), latency_ms, states.between(schedule).wake_up_ms),
        deadline_missed=deadline.missed,
        deadline_misses_per_h=deadline.misses_per_h,
        skipped_share=deadline.skipped_share,
        notes=deadline.notes,
    )


def energy_between_uj(
    latency_ms: Estimate, states: PowerStates, schedule: Schedule, start_ms: float, end_ms: float
) -> Estimate:
    """Energy drawn between two moments of a schedule whose first wake-up event is at 0 ms: what a meter integrates.

    The span may begin and end inside a window; then, or when windows outlast their period, an end of the interval
    is exact to within what the board draws in one wake-up time.

    Raises:
        StudyError: a span that does not run forward from the first wake-up.
    """
    if not 0 <= start_ms <= end_ms:
        raise StudyError(f"a span from {start_ms:g} ms to {end_ms:g} ms does not run forward from the first wake-up")
    if isinstance(schedule, Continuous):
        return combine(lambda power: power * (end_ms - start_ms) * _UJ_PER_UW_MS, states.run_power_uw)

    def between(energy_uj: _Elapsed, window: Window) -> float:
        return _elapsed_uj(window, energy_uj, end_ms) - _elapsed_uj(window, energy_uj, start_ms)

    return _over_windows(schedule, between, window_estimates(latency_ms, states, schedule))


def battery_life_h(
    average_power_uw: Estimate, capacity_mah: float, volt: float | None, *, self_discharge_pct_per_year: float = 0.0
) -> Estimate:
    """Hours that a battery of ``capacity_mah`` lasts when it delivers ``volt`` to the rail of the energy model.

    Self-discharge is a constant current: that share of the full capacity a year. Converter losses, what temperature,
    age and pulses of current take of the capacity, and everything outside of the measuring boundary are not counted.

    Raises:
        StudyError: a capacity that is not positive or above ``LARGEST_BATTERY_MAH``, or a self-discharge outside of
            [0, 100).
    """
    if not 0 < capacity_mah <= LARGEST_BATTERY_MAH:
        raise StudyError(
            f"battery capacity must be positive, and {LARGEST_BATTERY_MAH:g} mAh at most, got {capacity_mah:g} mAh"
        )
    if not 0 <= self_discharge_pct_per_year < 100:
        raise StudyError(f"self-discharge of {self_discharge_pct_per_year:g} % a year is outside of [0, 100)")
    if volt is None:
        return Estimate.absent("the supply voltage of this energy model is not known")
    leak_uw = capacity_mah * volt * 1e3 * self_discharge_pct_per_year / 100 / _H_PER_YEAR
    return combine(lambda power_uw: capacity_mah * volt * 1e3 / (power_uw + leak_uw), average_power_uw)


def _low(estimate: Estimate) -> float | None:
    return estimate.value if estimate.low is None else estimate.low


def _high(estimate: Estimate) -> float | None:
    return estimate.value if estimate.high is None else estimate.high


# Energy of a window up to a moment of it: ``Window.energy_uj`` or ``Window.sampling_uj``.
_Elapsed = Callable[[Window, float], float]


def _over_windows(
    schedule: Cadenced,
    figure: Callable[[_Elapsed, Window], float],
    arguments: tuple[Estimate, ...],
    bends: tuple[float, ...] = (),
) -> Estimate:
    """A figure of the board and that of its sensors, each bounded where it is monotone, and then added."""

    def of(energy_uj: _Elapsed) -> Estimate:
        return combine(
            lambda *quantities: figure(energy_uj, Window(schedule, *quantities)), *arguments, first_breakpoints=bends
        )

    board = of(Window.energy_uj)
    if schedule.sampling is None or board.value is None:
        return board
    return combine(add, board, of(Window.sampling_uj))


def _window_energy_uj(energy_uj: _Elapsed, window: Window) -> float:
    return energy_uj(window, window.length_ms)


def _average_power_uw(energy_uj: _Elapsed, window: Window) -> float:
    return energy_uj(window, window.length_ms) / window.length_ms / _UJ_PER_UW_MS


def _bends(state: SleepState, schedule: Cadenced) -> tuple[float, ...]:
    """Latencies at which a window begins to outlast its period."""
    ends = (_low(state.wake_up_ms), _high(state.wake_up_ms))
    return tuple(schedule.period_ms - max(end, schedule.wake_margin_ms) for end in ends if end is not None)


def _inference_energy_uj(latency_ms: float, run_power_uw: float) -> float:
    return latency_ms * run_power_uw * _UJ_PER_UW_MS


def _duty_cycle(schedule: Cadenced, latency_ms: float, wake_up_ms: float) -> float:
    return min(1.0, (latency_ms + max(wake_up_ms, schedule.wake_margin_ms)) / schedule.period_ms)


def _elapsed_uj(window: Window, energy_uj: _Elapsed, elapsed_ms: float) -> float:
    whole, rest_ms = divmod(elapsed_ms, window.length_ms)
    return whole * energy_uj(window, window.length_ms) + energy_uj(window, rest_ms)


class _Deadline(NamedTuple):
    missed: bool | None
    misses_per_h: Estimate
    skipped_share: Estimate
    notes: tuple[str, ...] = ()


def _deadline(latency_ms: Estimate, state: SleepState, schedule: Cadenced, kept: float) -> _Deadline:
    """Whether wake-up, margin and inference outlast the time available, and what is uncertain about it."""
    period_ms, margin_ms = schedule.period_ms, schedule.wake_margin_ms
    available_ms = period_ms * kept
    active = combine(lambda latency, wake_up: latency + max(wake_up, margin_ms), latency_ms, state.wake_up_ms)
    skipped = combine(lambda active_ms: max(0.0, 1 - period_ms / active_ms) if active_ms else 0.0, active)

    def missed_per_h(active_ms: float) -> float:
        return _MS_PER_H / period_ms if active_ms > available_ms else 0.0

    if active.value is None:
        if latency_ms.value is not None and latency_ms.value + margin_ms > available_ms:
            return _Deadline(True, combine(lambda latency: missed_per_h(latency + margin_ms), latency_ms), skipped)
        note = f"whether the deadline is met is not known: {active.reason}"
        return _Deadline(None, Estimate.absent(active.reason or ""), skipped, (note,))
    missed, misses = active.value > available_ms, combine(missed_per_h, active)
    if active.low is not None and active.high is not None and active.low <= available_ms < active.high:
        verb = "missed" if missed else "met"
        note = (
            f"the deadline of {available_ms:.4g} ms is {verb} by {abs(available_ms - active.value):.3g} ms, "
            f"within the interval [{active.low:.4g}, {active.high:.4g}] ms of wake-up and latency"
        )
        return _Deadline(missed, misses, skipped, (note,))
    return _Deadline(missed, misses, skipped)
