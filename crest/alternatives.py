"""One program at several clocks and in several sleep states: what each costs, which is best, and where that changes.

From the longest active time of two alternatives on, both keep their period, and the energy of a window is a straight
line in the period::

    energy(period) = fixed + rest_power * period
    fixed          = wake_up_energy + run_power * awake - rest_power * active
    break-even     = (fixed_one - fixed_other) / (rest_power_other - rest_power_one)

So there is one crossing at most, and it counts only where both keep their period. Sensors draw the same in both and
cancel. An estimate that two alternatives share (the latency at one clock, a deep sleep that no clock changes) errs for
both alike; all others are taken to err independently, and the interval is that of the worst corner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from typing import NamedTuple

from crest.frozen import Frozen
from crest.intervals import combine
from crest.measurement import Estimate
from crest.schedule import (
    Cadenced,
    PowerStates,
    SleepName,
    Window,
    battery_life_h,
    cadenced,
    characterise,
    window_estimates,
)

LONGEST_PERIOD_MS = 1e9
"""Nothing is looked at beyond this period, some 11 days; an end of an interval there means that it may never come."""

_COSTS = (
    "energy_per_window_uj",
    "average_power_uw",
    "duty_cycle",
    "deadline_missed",
    "deadline_misses_per_h",
    "skipped_share",
)


class Alternative(NamedTuple):
    """One way to run a program: its latency and the power of the board at a clock, and the state it waits in."""

    clock_mhz: float
    sleep: SleepName
    latency_ms: Estimate
    states: PowerStates

    @property
    def label(self) -> str:
        """Short text, for example ``80 MHz, deep_sleep``."""
        return f"{self.clock_mhz:g} MHz, {self.sleep}"


class Battery(NamedTuple):
    """What a board lives on."""

    capacity_mah: float
    self_discharge_pct_per_year: float = 0.0


class Row(Frozen):
    """What one alternative costs at one period; fields are those of ``crest.schedule.Characterisation``.

    ``best``: of all that keep this period, it takes the least energy per window. ``certain``: it does so wherever the
    true figures lie inside their intervals.
    """

    clock_mhz: float
    sleep: SleepName
    period_ms: float
    schedule: str
    energy_per_window_uj: Estimate
    average_power_uw: Estimate
    duty_cycle: Estimate
    deadline_missed: bool | None
    deadline_misses_per_h: Estimate
    skipped_share: Estimate
    battery_life_h: Estimate
    best: bool = False
    certain: bool = False


class BreakEven(Frozen):
    """The period at which two alternatives take the same energy per window.

    Attributes:
        one: label of an alternative.
        other: label of the other.
        both_from_ms: the shortest period that both keep.
        period_ms: the break-even period; absent, with the reason, where one of them always takes less.
        below: which takes less from ``both_from_ms`` to the break-even period; None where that is not known.
        above: which takes less from the break-even period on.
        alone_below: which of them keeps periods shorter than ``both_from_ms``, too; None where it is both or neither.
        certain_from_ms: the period from which on ``above`` takes less wherever the true figures lie inside their
            intervals; None where it never is certain.
    """

    one: str
    other: str
    both_from_ms: Estimate
    period_ms: Estimate
    below: str | None = None
    above: str | None = None
    alone_below: str | None = None
    certain_from_ms: float | None = None


def cost_rows(
    alternatives: Sequence[Alternative],
    schedules: Iterable[Cadenced],
    battery: Battery,
    *,
    reserve_cpu_pct: float = 0.0,
) -> tuple[Row, ...]:
    """What every alternative costs at the period of every schedule, the best of each period marked.

    Args:
        alternatives: clocks and sleep states of one program.
        schedules: period, margin and sensors of each; the state is that of the alternative.
        battery: for the battery life, at the supply of the energy model.
        reserve_cpu_pct: as for ``crest.schedule.characterise``.

    Raises:
        StudyError: as ``crest.schedule.characterise`` and ``crest.schedule.battery_life_h``.
    """
    rows: list[Row] = []
    for schedule in schedules:
        when = [schedule.model_copy(update={"sleep": alternative.sleep}) for alternative in alternatives]
        priced = [_row(a, w, battery, reserve_cpu_pct) for a, w in zip(alternatives, when, strict=True)]
        energies = {
            i: row.energy_per_window_uj.value
            for i, row in enumerate(priced)
            if row.deadline_missed is False and row.energy_per_window_uj.value is not None
        }
        if energies:
            best = min(energies, key=lambda i: energies[i])
            certain = not priced[best].deadline_misses_per_h.high and all(
                _beats(alternatives[best], alternatives[i], schedule) for i in energies if i != best
            )
            priced[best] = priced[best].model_copy(update={"best": True, "certain": certain})
        rows += priced
    return tuple(rows)


def break_evens(
    alternatives: Sequence[Alternative], schedule: Cadenced, *, reserve_cpu_pct: float = 0.0
) -> tuple[BreakEven, ...]:
    """The break-even periods of all pairs that differ in their clock, or in their sleep state, alone."""
    pairs = [(a, b) for a, b in combinations(alternatives, 2) if (a.clock_mhz == b.clock_mhz) != (a.sleep == b.sleep)]
    return tuple(break_even(a, b, schedule, reserve_cpu_pct=reserve_cpu_pct) for a, b in pairs)


def break_even(one: Alternative, other: Alternative, schedule: Cadenced, *, reserve_cpu_pct: float = 0.0) -> BreakEven:
    """The period from which on the other of two alternatives takes less energy per window.

    Args:
        one: a clock and a sleep state.
        other: another clock, another sleep state, or both.
        schedule: margin and sensors of both; its period and its state are not looked at.
        reserve_cpu_pct: share of each period that must be left to the application for a period to be kept.
    """
    pair = _Pair(one, other, schedule, 1 - reserve_cpu_pct / 100)
    floor = pair.both_from_ms()
    found = BreakEven(one=one.label, other=other.label, both_from_ms=floor, period_ms=floor, alone_below=pair.faster())
    at_end = pair.gap_uj(LONGEST_PERIOD_MS)
    if floor.value is None or at_end.value is None:
        absent = floor if floor.value is None else at_end
        return found.model_copy(update={"period_ms": Estimate.absent(absent.reason or "")})
    low_ms = floor.value if floor.low is None else floor.low
    at_floor = pair.gap_uj(floor.value).value or 0.0
    # Gaps are those of the other to the one: positive where the one takes less.
    if at_floor == at_end.value == 0:
        return found.model_copy(update={"period_ms": Estimate.absent("both take the same energy at every period")})
    above, below = (one.label, other.label) if (at_end.value or at_floor) > 0 else (other.label, one.label)
    if at_floor * at_end.value >= 0:
        below, period_ms = above, Estimate.absent(f"{above} takes less energy at every period that both keep")
    else:
        period_ms = pair.crossing(low_ms)
    return found.model_copy(
        update={
            "period_ms": period_ms,
            "below": below,
            "above": above,
            "certain_from_ms": pair.certain_from_ms(low_ms),
        }
    )


class _Pair:
    """Two alternatives and the estimates behind them, those that they share taken once."""

    def __init__(self, one: Alternative, other: Alternative, schedule: Cadenced, kept_share: float) -> None:
        self._labels = (one.label, other.label)
        self._kept_share = kept_share
        sampling = schedule.sampling
        self._collect_ms = (sampling.collect_ms or 0.0) if sampling else 0.0
        self._schedules = [
            cadenced(LONGEST_PERIOD_MS, alternative.sleep, schedule.wake_margin_ms) for alternative in (one, other)
        ]
        estimates = [
            window_estimates(a.latency_ms, a.states, s) for a, s in zip((one, other), self._schedules, strict=True)
        ]
        self._distinct = tuple(dict.fromkeys((*estimates[0], *estimates[1])))
        self._places = [[self._distinct.index(estimate) for estimate in own] for own in estimates]

    def over(self, function: Callable[[Window, Window], float]) -> Estimate:
        """A function of both windows, over the box of all intervals."""
        return combine(lambda *values: function(*self._windows(values)), *self._distinct)

    def gap_uj(self, period_ms: float) -> Estimate:
        """How much more the other one takes at a period that both keep."""
        return self.over(lambda a, b: b.fixed_uj - a.fixed_uj + (b.rest_uj_per_ms - a.rest_uj_per_ms) * period_ms)

    def both_from_ms(self) -> Estimate:
        """The shortest period that both keep."""
        return self.over(lambda a, b: max(max(a.active_ms, b.active_ms) / self._kept_share, self._collect_ms))

    def faster(self) -> str | None:
        """Which of them keeps shorter periods; None where both keep the same ones."""
        gap = self.over(lambda a, b: b.active_ms - a.active_ms).value
        return None if not gap else self._labels[gap < 0]

    def crossing(self, low_ms: float) -> Estimate:
        """Where the lines cross, which they do; its interval begins no lower than ``low_ms``."""
        bounds = self._crossing_bounds()
        exact = combine(lambda *values: _crossing_ms(*self._windows(values)), *(e.exact for e in self._distinct))
        if bounds is not None and bounds.low is None:
            return exact
        low, high = (bounds.low, bounds.high) if bounds else (low_ms, LONGEST_PERIOD_MS)
        assert low is not None and high is not None
        confidence = self.gap_uj(low_ms).confidence
        ends = {"low": max(low, low_ms), "high": min(high, LONGEST_PERIOD_MS), "confidence": confidence}
        return exact.model_copy(update=ends)

    def certain_from_ms(self, low_ms: float) -> float | None:
        """From which period on the same one takes less, at every corner; None where that is never so."""
        if _sign(self.gap_uj(low_ms)) == _sign(self.gap_uj(LONGEST_PERIOD_MS)) != 0:
            return low_ms
        bounds = self._crossing_bounds()
        if bounds is None or bounds.value is None:
            return None
        last_ms = bounds.value if bounds.high is None else bounds.high
        return max(last_ms, low_ms) if last_ms < LONGEST_PERIOD_MS else None

    def _crossing_bounds(self) -> Estimate | None:
        """Where the lines cross; None where, at some corner, they are parallel or cross the other way round."""
        slope = self.over(lambda a, b: b.rest_uj_per_ms - a.rest_uj_per_ms)
        return self.over(_crossing_ms) if _sign(slope) else None

    def _windows(self, values: Sequence[float]) -> tuple[Window, Window]:
        one, other = (
            Window(schedule, *(values[place] for place in places))
            for schedule, places in zip(self._schedules, self._places, strict=True)
        )
        return one, other


def _row(alternative: Alternative, schedule: Cadenced, battery: Battery, reserve_cpu_pct: float) -> Row:
    states = alternative.states
    cost = characterise(alternative.latency_ms, states, schedule, reserve_cpu_pct=reserve_cpu_pct)
    return Row(
        clock_mhz=alternative.clock_mhz,
        sleep=alternative.sleep,
        period_ms=schedule.period_ms,
        schedule=schedule.label,
        **{name: getattr(cost, name) for name in _COSTS},
        battery_life_h=battery_life_h(
            cost.average_power_uw,
            battery.capacity_mah,
            states.volt,
            self_discharge_pct_per_year=battery.self_discharge_pct_per_year,
        ),
    )


def _beats(best: Alternative, other: Alternative, schedule: Cadenced) -> bool:
    gap = _Pair(best, other, schedule, 1.0).gap_uj(schedule.period_ms)
    return gap.value is not None and (gap.value if gap.low is None else gap.low) >= 0


def _sign(gap: Estimate) -> int:
    """Of every value in the interval; 0 where it is not certain."""
    assert gap.value is not None
    low, high = (gap.value if gap.low is None else gap.low), (gap.value if gap.high is None else gap.high)
    return int(low > 0) - int(high < 0)


def _crossing_ms(one: Window, other: Window) -> float:
    return (one.fixed_uj - other.fixed_uj) / (other.rest_uj_per_ms - one.rest_uj_per_ms)
