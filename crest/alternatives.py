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
from typing import Any, NamedTuple

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
    kept_share,
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
    "notes",
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

    ``best``: of all that keep this period, it takes the least energy per window. ``certain``: it keeps the period and
    takes the least wherever the true figures lie inside their intervals, also where they let another keep the period.
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
    notes: tuple[str, ...] = ()
    best: bool = False
    certain: bool = False


class BreakEven(Frozen):
    """The period at which two alternatives take the same energy per window.

    Attributes:
        one: label of an alternative.
        other: label of the other.
        both_from_ms: the shortest period that both keep.
        period_ms: the break-even period; absent, with the reason, where one of them always takes less.
        rest_ms: how long the board then rests in ``above``: the shortest wait that pays; absent like the period.
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
    rest_ms: Estimate
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
            rivals = [a for i, a in enumerate(alternatives) if i != best and _may_keep_period(priced[i])]
            certain = not priced[best].deadline_misses_per_h.high and all(
                _beats(alternatives[best], rival, schedule) for rival in rivals
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

    Raises:
        StudyError: ``reserve_cpu_pct`` outside of [0, 100).
    """
    pair = _Pair(one, other, schedule, kept_share(reserve_cpu_pct))
    floor, at_end = pair.both_from_ms(), pair.gap_uj(LONGEST_PERIOD_MS)

    def found(period_ms: Estimate, rest_ms: Estimate | None = None, **order: Any) -> BreakEven:
        ends = {"one": one.label, "other": other.label, "both_from_ms": floor, "alone_below": pair.faster()}
        return BreakEven(period_ms=period_ms, rest_ms=rest_ms or period_ms, **ends, **order)

    if floor.value is None or at_end.value is None:
        return found(floor if floor.value is None else at_end)
    low_ms = floor.value if floor.low is None else floor.low
    at_floor = pair.gap_uj(floor.value).value or 0.0
    # Gaps are those of the other to the one: positive where the one takes less.
    if at_floor == at_end.value == 0:
        return found(Estimate.absent("both take the same energy at every period"))
    one_above = (at_end.value or at_floor) > 0
    above, below = (one.label, other.label) if one_above else (other.label, one.label)
    certain_from_ms = pair.certain_from_ms(low_ms)
    if at_floor * at_end.value >= 0:
        always = Estimate.absent(f"{above} takes less energy at every period that both keep")
        return found(always, below=above, above=above, certain_from_ms=certain_from_ms)
    period_ms = pair.bounded(_crossing_ms, low_ms)
    rest_ms = pair.bounded(_rest_of_one_ms if one_above else _rest_of_other_ms, 0.0)
    return found(period_ms, rest_ms, below=below, above=above, certain_from_ms=certain_from_ms)


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
        # An estimate is shared where it is the same one of the same quantity.
        named = [
            list(enumerate(window_estimates(a.latency_ms, a.states, s)))
            for a, s in zip((one, other), self._schedules, strict=True)
        ]
        distinct = list(dict.fromkeys((*named[0], *named[1])))
        self._distinct = tuple(estimate for _, estimate in distinct)
        self._places = [[distinct.index(name) for name in own] for own in named]

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

    def bounded(self, figure: Callable[[Window, Window], float], low: float) -> Estimate:
        """A figure of the lines' crossing, no lower than ``low``; the interval ends at the longest period at most."""
        exact = combine(lambda *values: figure(*self._windows(values)), *(e.exact for e in self._distinct))
        if not self._cross_one_way:
            confidence = self.gap_uj(LONGEST_PERIOD_MS).confidence
            return exact.model_copy(update={"low": low, "high": LONGEST_PERIOD_MS, "confidence": confidence})
        bounds = self.over(figure)
        if bounds.low is None or bounds.high is None:
            return exact
        return bounds.model_copy(update={"low": max(bounds.low, low), "high": min(bounds.high, LONGEST_PERIOD_MS)})

    def certain_from_ms(self, low_ms: float) -> float | None:
        """From which period on the same one takes less, at every corner; None where that is never so."""
        if _sign(self.gap_uj(low_ms)) == _sign(self.gap_uj(LONGEST_PERIOD_MS)) != 0:
            return low_ms
        if not self._cross_one_way:
            return None
        bounds = self.over(_crossing_ms)
        last_ms = bounds.value if bounds.high is None else bounds.high
        return max(last_ms, low_ms) if last_ms is not None and last_ms < LONGEST_PERIOD_MS else None

    @property
    def _cross_one_way(self) -> bool:
        """Whether at no corner the lines are parallel, or cross the other way round."""
        return _sign(self.over(lambda a, b: b.rest_uj_per_ms - a.rest_uj_per_ms)) != 0

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


def _may_keep_period(row: Row) -> bool:
    """Whether it does somewhere in the intervals; also where that is not known."""
    return not row.deadline_missed or row.deadline_misses_per_h.low == 0


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


def _rest_of_one_ms(one: Window, other: Window) -> float:
    return _crossing_ms(one, other) - one.active_ms


def _rest_of_other_ms(one: Window, other: Window) -> float:
    return _crossing_ms(one, other) - other.active_ms
