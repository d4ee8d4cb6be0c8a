"""Wake margins, sensors and misses: hand-computed cases, units that cannot be mixed up, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from crest.errors import StudyError
from crest.schedule import Cadenced, Continuous, Sampling, battery_life_h, cadenced, characterise, energy_between_uj
from tests.test_schedule import SIMPLE, boards, cadences, exact, latencies, spread, states

SENSORS = Sampling(power_uw=400.0, reason="made up")


def window_uj(latency_ms: float, schedule: Cadenced) -> float:
    value = characterise(exact(latency_ms), SIMPLE, schedule).energy_per_window_uj.value
    assert value is not None
    return value


def test_a_margin_longer_than_the_wake_up_is_spent_awake() -> None:
    cost = characterise(exact(50.0), SIMPLE, Cadenced(period_ms=200.0, wake_margin_ms=2.0))
    assert cost.energy_per_window_uj.value == pytest.approx(2.0 + 10.0 * (1.5 + 50.0) + 5e-3 * 148.0)
    assert cost.duty_cycle.value == pytest.approx(52.0 / 200.0)
    assert cost.energy_per_inference_uj.value == pytest.approx(500.0)


def test_a_margin_inside_the_wake_up_costs_nothing() -> None:
    bare, covered = (characterise(exact(50.0), SIMPLE, Cadenced(period_ms=200.0, wake_margin_ms=m)) for m in (0, 0.5))
    assert covered == bare


def test_a_margin_counts_against_the_deadline() -> None:
    for margin, missed in ((9.9, False), (10.1, True)):
        cost = characterise(exact(90.0), SIMPLE, Cadenced(period_ms=100.0, wake_margin_ms=margin))
        assert cost.deadline_missed is missed


def test_sensors_draw_on_top_of_the_board() -> None:
    bare = window_uj(50.0, Cadenced(period_ms=200.0))
    always = Cadenced(period_ms=200.0, sampling=SENSORS)
    assert window_uj(50.0, always) == pytest.approx(bare + 80.0)
    some = Cadenced(period_ms=200.0, sampling=SENSORS.model_copy(update={"collect_ms": 25.0}))
    assert window_uj(50.0, some) == pytest.approx(bare + 10.0)
    cost = characterise(exact(50.0), SIMPLE, some)
    assert cost.average_power_uw.value == pytest.approx((bare + 10.0) / 0.2)
    assert cost.energy_per_inference_uj.value == pytest.approx(500.0)


def test_sensors_collect_at_the_end_of_a_window() -> None:
    bare = Cadenced(period_ms=200.0)
    schedule = Cadenced(period_ms=200.0, sampling=SENSORS.model_copy(update={"collect_ms": 25.0}))
    for end_ms, collected_ms in ((175.0, 0.0), (185.0, 10.0), (200.0, 25.0), (400.0, 50.0)):
        with_sensors, without = (energy_between_uj(exact(50.0), SIMPLE, s, 0, end_ms).value for s in (schedule, bare))
        assert with_sensors == pytest.approx(without + 0.4 * collected_ms)


def test_sensors_go_on_while_a_window_outlasts_its_period() -> None:
    cost = characterise(exact(300.0), SIMPLE, Cadenced(period_ms=200.0, sampling=SENSORS))
    assert cost.average_power_uw.value == pytest.approx((3002.0 / 0.3005) + 400.0)


@pytest.mark.parametrize(
    ("latency", "missed_per_h", "skipped"), [(50.0, 0.0, 0.0), (199.5, 0.0, 0.0), (249.5, 18_000.0, 0.2)]
)
def test_misses_are_counted(latency: float, missed_per_h: float, skipped: float) -> None:
    cost = characterise(exact(latency), SIMPLE, Cadenced(period_ms=200.0))
    assert cost.deadline_misses_per_h.value == missed_per_h
    assert cost.skipped_share.value == pytest.approx(skipped)


def test_a_late_result_inside_the_reserve_skips_no_release() -> None:
    cost = characterise(exact(150.0), SIMPLE, Cadenced(period_ms=200.0), reserve_cpu_pct=50)
    assert (cost.deadline_missed, cost.deadline_misses_per_h.value, cost.skipped_share.value) == (True, 18_000.0, 0.0)


def test_misses_that_are_not_certain_have_an_interval() -> None:
    cost = characterise(spread(195.0, 180.0, 249.5), SIMPLE, Cadenced(period_ms=200.0))
    misses, skipped = cost.deadline_misses_per_h, cost.skipped_share
    assert (misses.value, misses.low, misses.high) == (0.0, 0.0, 18_000.0)
    assert (skipped.value, skipped.low) == (0.0, 0.0) and skipped.high == pytest.approx(0.2)


def test_without_a_deadline_nothing_is_missed() -> None:
    cost = characterise(exact(50.0), SIMPLE, Continuous())
    assert cost.deadline_misses_per_h.value is None and "no deadline" in str(cost.deadline_misses_per_h.reason)


def test_self_discharge_is_a_current_of_its_own() -> None:
    nothing_drawn = battery_life_h(exact(0.0), 220.0, 3.0, self_discharge_pct_per_year=1.0)
    assert nothing_drawn.value == pytest.approx(100 * 8766.0)
    one_year = battery_life_h(exact(220.0 * 3e3 / 8766.0), 220.0, 3.0)
    assert one_year.value == pytest.approx(8766.0)
    both = battery_life_h(exact(220.0 * 3e3 / 8766.0), 220.0, 3.0, self_discharge_pct_per_year=25.0)
    assert both.value == pytest.approx(8766.0 / 1.25)
    for share in (-1.0, 100.0):
        with pytest.raises(StudyError, match="self-discharge"):
            battery_life_h(exact(1.0), 220.0, 3.0, self_discharge_pct_per_year=share)


def test_labels_tell_schedules_apart() -> None:
    sensors = SENSORS.model_copy(update={"collect_ms": 25.0})
    schedule = Cadenced(period_ms=200.0, wake_margin_ms=1.5, sampling=sensors)
    assert schedule.label == "cadenced 200 ms deep_sleep, woken 1.5 ms early, sampling 400 uW for 25 ms"


def test_what_does_not_fit_into_a_period_is_refused() -> None:
    with pytest.raises(StudyError, match="schedule: wake_margin_ms: 200 leaves nothing of period_ms 200"):
        cadenced(200.0, "sleep", wake_margin_ms=200.0)
    with pytest.raises(StudyError, match=r"schedule: sampling: collect_ms 201 is longer than period_ms 200"):
        cadenced(200.0, "sleep", sampling=SENSORS.model_copy(update={"collect_ms": 201.0}))
    for broken in ({"power_uw": -1.0}, {"power_uw": float("nan")}, {"collect_ms": 0.0}, {"reason": ""}):
        with pytest.raises(ValidationError):
            Sampling(**{**SENSORS.model_dump(), **broken})


# Dimensions: a formula that took one quantity in another unit would break one of these.


@given(latencies, boards, cadences, st.floats(0.01, 100))
def test_k_times_the_power_is_k_times_the_energy(latency: float, board: object, schedule: Cadenced, k: float) -> None:
    sensors = schedule.sampling and schedule.sampling.model_copy(update={"power_uw": schedule.sampling.power_uw * k})
    stronger = schedule.model_copy(update={"sampling": sensors})
    base = characterise(exact(latency), board, schedule)
    scaled = characterise(exact(latency), scaled_board(board, k, 1.0), stronger)
    for name, factor in ENERGIES.items():
        assert getattr(scaled, name).value == pytest.approx(getattr(base, name).value * k**factor, rel=1e-9)


@given(latencies, boards, cadences, st.floats(0.01, 100))
def test_k_times_every_time_is_k_times_the_energy_at_the_same_power(
    latency: float, board: object, schedule: Cadenced, k: float
) -> None:
    collect = schedule.sampling.collect_ms if schedule.sampling else None
    sensors = schedule.sampling and schedule.sampling.model_copy(update={"collect_ms": collect and collect * k})
    longer = Cadenced(period_ms=schedule.period_ms * k, wake_margin_ms=schedule.wake_margin_ms * k, sampling=sensors)
    base = characterise(exact(latency), board, schedule)
    scaled = characterise(exact(latency * k), scaled_board(board, 1.0, k), longer)
    for name in ("energy_per_inference_uj", "energy_per_window_uj"):
        assert getattr(scaled, name).value == pytest.approx(getattr(base, name).value * k, rel=1e-9)
    for name in ("average_power_uw", "duty_cycle"):
        assert getattr(scaled, name).value == pytest.approx(getattr(base, name).value, rel=1e-9)


ENERGIES = {"energy_per_inference_uj": 1, "energy_per_window_uj": 1, "average_power_uw": 1, "duty_cycle": 0}


def scaled_board(board, power: float, time: float):
    rest = board.deep_sleep
    return states(
        exact(board.run_power_uw.value * power),
        exact(rest.power_uw.value * power),
        exact(rest.wake_up_ms.value * time),
        exact(rest.wake_up_energy_uj.value * power * time),
    )


@given(latencies, boards, cadences, st.floats(0.01, 1000))
def test_one_percent_of_a_year_is_the_same_whatever_the_battery(
    latency: float, board: object, schedule: Cadenced, capacity: float
) -> None:
    """Power and capacity in the wrong units would not cancel."""
    power = characterise(exact(latency), board, schedule).average_power_uw
    life = battery_life_h(power, capacity, 3.0).value
    assert life is not None and power.value is not None
    assert life * 3600.0 * power.value * 1e-6 == pytest.approx(capacity * 1e-3 * 3600.0 * 3.0, rel=1e-9)
