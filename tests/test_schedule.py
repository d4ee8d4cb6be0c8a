"""Schedules: hand-computed cases, and the laws that hold for every program and board."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from crest.errors import StudyError
from crest.intervals import combine
from crest.measurement import Estimate
from crest.schedule import (
    Cadenced,
    Continuous,
    PowerStates,
    Sampling,
    SleepState,
    battery_life_h,
    characterise,
    energy_between_uj,
)


def exact(value: float, origin: str = "estimated") -> Estimate:
    return Estimate(value=value, origin=origin)


def spread(value: float, low: float, high: float, confidence: float = 0.9) -> Estimate:
    return Estimate(value=value, origin="estimated", low=low, high=high, confidence=confidence)


def states(run_uw: Estimate, rest_uw: Estimate, wake_ms: Estimate, wake_uj: Estimate) -> PowerStates:
    rest = SleepState(power_uw=rest_uw, wake_up_ms=wake_ms, wake_up_energy_uj=wake_uj)
    return PowerStates(run_power_uw=run_uw, sleep=rest, deep_sleep=rest, volt=3.0)


SIMPLE = states(exact(10_000.0), exact(5.0), exact(0.5), exact(2.0))


def test_a_cadenced_window_by_hand() -> None:
    cost = characterise(exact(50.0, "emulated"), SIMPLE, Cadenced(period_ms=200.0))
    assert cost.energy_per_inference_uj.value == pytest.approx(500.0)
    assert cost.energy_per_window_uj.value == pytest.approx(2.0 + 500.0 + 5e-3 * 149.5)
    assert cost.average_power_uw.value == pytest.approx((502.0 + 0.7475) / 0.2)
    assert cost.duty_cycle.value == pytest.approx(50.5 / 200)
    assert cost.deadline_missed is False
    assert cost.energy_per_window_uj.origin == "estimated"


def test_continuous_never_sleeps_and_has_no_deadline() -> None:
    cost = characterise(exact(50.0), SIMPLE, Continuous())
    assert cost.energy_per_window_uj == cost.energy_per_inference_uj
    assert cost.average_power_uw.value == 10_000.0
    assert cost.duty_cycle.value == 1.0
    assert cost.deadline_missed is None


def test_each_sleep_state_is_the_one_asked_for() -> None:
    light = SleepState(power_uw=exact(1800.0), wake_up_ms=exact(0.0), wake_up_energy_uj=exact(0.0))
    deep = SleepState(power_uw=exact(4.5), wake_up_ms=exact(0.0), wake_up_energy_uj=exact(0.0))
    board = PowerStates(run_power_uw=exact(10_000.0), sleep=light, deep_sleep=deep, volt=3.0)
    in_light = characterise(exact(50.0), board, Cadenced(period_ms=150.0, sleep="sleep"))
    in_deep = characterise(exact(50.0), board, Cadenced(period_ms=150.0, sleep="deep_sleep"))
    assert in_light.energy_per_window_uj.value == pytest.approx(500 + 180)
    assert in_deep.energy_per_window_uj.value == pytest.approx(500 + 0.45)


@pytest.mark.parametrize(
    ("latency", "reserve", "missed"), [(199.4, 0, False), (199.6, 0, True), (99.4, 50, False), (99.6, 50, True)]
)
def test_deadline_counts_wake_up_and_reserve(latency: float, reserve: float, missed: bool) -> None:
    cost = characterise(exact(latency), SIMPLE, Cadenced(period_ms=200.0), reserve_cpu_pct=reserve)
    assert cost.deadline_missed is missed


def test_an_overrunning_window_runs_without_sleep() -> None:
    cost = characterise(exact(300.0), SIMPLE, Cadenced(period_ms=200.0))
    assert cost.deadline_missed is True
    assert cost.duty_cycle.value == 1.0
    assert cost.energy_per_window_uj.value == pytest.approx(3002.0)
    assert cost.average_power_uw.value == pytest.approx(3002.0 / 300.5 * 1e3)


def test_a_deadline_inside_the_interval_is_said() -> None:
    cost = characterise(spread(195, 180, 210), SIMPLE, Cadenced(period_ms=200.0))
    assert cost.deadline_missed is False
    assert "200 ms is met" in cost.notes[0]


def test_what_is_absent_stays_absent_with_its_reason() -> None:
    unknown = Estimate.absent("no published power at rest")
    board = states(exact(46_400.0), unknown, unknown, unknown)
    cost = characterise(exact(100.0), board, Cadenced(period_ms=200.0))
    assert cost.energy_per_inference_uj.value == pytest.approx(4640)
    for estimate in (cost.energy_per_window_uj, cost.average_power_uw, cost.duty_cycle):
        assert estimate.value is None and estimate.reason == "no published power at rest"
    assert cost.deadline_missed is None and cost.notes
    assert characterise(exact(201.0), board, Cadenced(period_ms=200.0)).deadline_missed is True


def test_battery_life() -> None:
    life = battery_life_h(spread(6_600.0, 3_300.0, 13_200.0), 220.0, 3.0)
    assert [life.value, life.low, life.high] == pytest.approx([100.0, 50.0, 200.0])
    assert battery_life_h(exact(1.0), 220.0, None).value is None
    for capacity_mah in (0.0, 1e8, float("inf"), float("nan")):
        with pytest.raises(StudyError, match="capacity"):
            battery_life_h(exact(1.0), capacity_mah, 3.0)


def test_bad_input_is_refused() -> None:
    with pytest.raises(StudyError, match=r"cpu_pct.*100"):
        characterise(exact(1.0), SIMPLE, Cadenced(period_ms=10.0), reserve_cpu_pct=100)
    for period in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ValidationError):
            Cadenced(period_ms=period)
    with pytest.raises(ValidationError, match="more than running"):
        states(spread(10, 4, 20), spread(3, 1, 5), exact(0.0), exact(0.0))
    with pytest.raises(StudyError, match="forward"):
        energy_between_uj(exact(1.0), SIMPLE, Continuous(), 5.0, 4.0)


def test_labels() -> None:
    assert Continuous().label == "continuous"
    assert Cadenced(period_ms=200.0).label == "cadenced 200 ms deep_sleep"
    assert Cadenced(period_ms=12.5, sleep="sleep").label == "cadenced 12.5 ms sleep"


def test_combine_takes_the_least_trusted_origin_and_lowest_confidence() -> None:
    measured = Estimate(value=2.0, origin="measured", low=1.0, high=3.0, confidence=0.99)
    both = combine(lambda a, b: a / b, measured, spread(4, 2, 8, confidence=0.8))
    assert both.origin == "estimated" and both.confidence == 0.8
    assert (both.value, both.low, both.high) == (0.5, 0.125, 1.5)
    assert combine(lambda a: a * a, spread(0.5, -1, 1), first_breakpoints=(0.0, 9.0)).low == 0.0
    gone = combine(lambda a, b: a + b, Estimate.absent("why"), Estimate.absent("also"))
    assert gone.value is None and gone.reason == "why; also"


# Laws over many programs and boards.

latencies = st.floats(0.01, 500)
periods = st.floats(1, 1000)
boards = st.builds(
    lambda run, share, wake, energy: states(exact(run), exact(run * share), exact(wake), exact(energy)),
    st.floats(10, 1e6),
    st.floats(0, 1),
    st.floats(0.001, 5),
    st.floats(0, 20),
)
samplings = st.none() | st.builds(
    lambda power, share: (power, share), st.floats(0, 1e5), st.none() | st.floats(0.01, 1)
)


def cadence(period: float, margin_share: float = 0.0, sampling: tuple[float, float | None] | None = None) -> Cadenced:
    sensors = None
    if sampling is not None:
        power, share = sampling
        collect = None if share is None else share * period
        sensors = Sampling(power_uw=power, collect_ms=collect, reason="made up")
    return Cadenced(period_ms=period, wake_margin_ms=margin_share * period, sampling=sensors)


cadences = st.builds(cadence, periods, st.floats(0, 0.9), samplings)
schedules = st.one_of(st.just(Continuous()), cadences)


def between(latency: float, board: PowerStates, schedule: Continuous | Cadenced, start: float, end: float) -> float:
    value = energy_between_uj(exact(latency), board, schedule, start, end).value
    assert value is not None
    return value


@given(latencies, boards, schedules, st.floats(0, 3000), st.floats(0, 3000))
def test_energy_is_monotone_in_time(
    latency: float, board: PowerStates, schedule: Continuous | Cadenced, first: float, second: float
) -> None:
    earlier, later = sorted((first, second))
    whole = between(latency, board, schedule, 0, later)
    assert between(latency, board, schedule, 0, earlier) <= whole * (1 + 1e-9)


@given(latencies, boards, schedules, st.lists(st.floats(0, 3000), min_size=3, max_size=6))
def test_splitting_a_schedule_changes_nothing(
    latency: float, board: PowerStates, schedule: Continuous | Cadenced, cuts: list[float]
) -> None:
    cuts = sorted(cuts)
    parts = sum(between(latency, board, schedule, a, b) for a, b in pairwise(cuts))
    whole = between(latency, board, schedule, cuts[0], cuts[-1])
    assert parts == pytest.approx(whole, rel=1e-9, abs=1e-9 * between(latency, board, schedule, 0, cuts[-1]))


@given(latencies, boards, cadences, st.integers(1, 50))
def test_energy_is_additive_over_windows(latency: float, board: PowerStates, schedule: Cadenced, windows: int) -> None:
    cost = characterise(exact(latency), board, schedule)
    assume(cost.deadline_missed is False)
    one = cost.energy_per_window_uj.value
    assert one is not None and cost.average_power_uw.value is not None
    period = schedule.period_ms
    assert between(latency, board, schedule, 0, windows * period) == pytest.approx(windows * one, rel=1e-6)
    assert cost.average_power_uw.value * period * 1e-3 == pytest.approx(one)


@given(latencies, latencies, boards, cadences)
def test_a_slower_program_never_costs_less(first: float, second: float, board: PowerStates, cadence: Cadenced) -> None:
    fast, slow = sorted((first, second))
    for schedule in (Continuous(), cadence):
        less, more = (characterise(exact(latency), board, schedule) for latency in (fast, slow))
        for name in ("energy_per_inference_uj", "energy_per_window_uj", "duty_cycle"):
            assert getattr(less, name).value <= getattr(more, name).value * (1 + 1e-9)


@given(
    st.tuples(latencies, latencies, latencies),
    st.tuples(st.floats(1, 4), st.floats(1, 4), st.floats(1, 4)),
    st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)),
    st.tuples(st.floats(0.001, 5), st.floats(0.001, 5), st.floats(0.001, 5)),
    st.tuples(st.floats(0, 9), st.floats(0, 9), st.floats(0, 9)),
    cadences,
)
def test_the_interval_holds_whatever_is_inside_the_inputs(
    latency: tuple[float, ...],
    run: tuple[float, ...],
    rest: tuple[float, ...],
    wake: tuple[float, ...],
    energy: tuple[float, ...],
    schedule: Cadenced,
) -> None:
    """A value anywhere in the box of the inputs gives a result inside the interval of the characterisation."""

    def inside(triple: tuple[float, ...]) -> tuple[Estimate, float]:
        low, middle, high = sorted(triple)
        return spread(high, low, high), middle

    pairs = [inside(triple) for triple in (latency, run, rest, wake, energy)]
    wide = characterise(pairs[0][0], states(*(pair[0] for pair in pairs[1:])), schedule)
    point = characterise(exact(pairs[0][1]), states(*(exact(pair[1]) for pair in pairs[1:])), schedule)
    costs = ("energy_per_inference_uj", "energy_per_window_uj", "average_power_uw", "duty_cycle")
    for name in (*costs, "deadline_misses_per_h", "skipped_share"):
        estimate, value = getattr(wide, name), getattr(point, name).value
        assert estimate.low * (1 - 1e-9) - 1e-12 <= value <= estimate.high * (1 + 1e-9) + 1e-12, name
