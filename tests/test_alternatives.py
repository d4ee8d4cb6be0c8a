"""Clocks and sleep states set against each other: what is best, and where that changes."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from crest.alternatives import LONGEST_PERIOD_MS, Alternative, Battery, break_even, break_evens, cost_rows
from crest.errors import StudyError
from crest.schedule import Cadenced, PowerStates, Sampling, SleepState, characterise
from tests.test_schedule import exact, spread

ANY = Cadenced(period_ms=1.0)


def rest(power_uw: float, wake_up_ms: float, wake_up_energy_uj: float) -> SleepState:
    return SleepState(
        power_uw=exact(power_uw), wake_up_ms=exact(wake_up_ms), wake_up_energy_uj=exact(wake_up_energy_uj)
    )


def board(run_uw: float, sleep: SleepState, deep_sleep: SleepState) -> PowerStates:
    return PowerStates(run_power_uw=exact(run_uw), sleep=sleep, deep_sleep=deep_sleep, volt=3.0)


# 10 mW for 50 ms; light sleep at 1 mW wakes up for nothing, deep sleep at 4 uW for 30 uJ and 2 ms.
LIGHT, DEEP = rest(1000.0, 0.0, 0.0), rest(4.0, 2.0, 30.0)
FAST = board(10_000.0, LIGHT, DEEP)
SLOW = board(3_000.0, rest(300.0, 0.0, 0.0), DEEP)


def fast(sleep="deep_sleep"):
    return Alternative(80.0, sleep, exact(50.0), FAST)


def slow(sleep="deep_sleep"):
    return Alternative(16.0, sleep, exact(200.0), SLOW)


def window_uj(alternative, period_ms, margin_ms=0.0):
    schedule = Cadenced(period_ms=period_ms, sleep=alternative.sleep, wake_margin_ms=margin_ms)
    return characterise(alternative.latency_ms, alternative.states, schedule).energy_per_window_uj.value


def test_the_break_even_of_two_sleep_states_by_hand():
    found = break_even(fast("sleep"), fast(), ANY)
    # sleep: 500 + 1.0 * (P - 50); deep sleep: 30 + 500 + 0.004 * (P - 52)
    assert found.period_ms.value == pytest.approx((30 + 50 - 0.004 * 52) / 0.996)
    assert (found.below, found.above) == ("80 MHz, sleep", "80 MHz, deep_sleep")
    assert (found.both_from_ms.value, found.alone_below) == (52.0, "80 MHz, sleep")
    assert found.rest_ms.value == pytest.approx(found.period_ms.value - 52.0)
    assert found.certain_from_ms == found.period_ms.value
    assert break_even(fast(), fast("sleep"), ANY).period_ms == found.period_ms


def test_the_break_even_of_two_clocks_whose_sleep_differs():
    # fast: 500 + 1.0 * (P - 50); slow: 600 + 0.3 * (P - 200): the slow clock wins on its sleep, late or at once.
    found = break_even(fast("sleep"), slow("sleep"), ANY)
    assert found.period_ms.value is None
    assert "16 MHz, sleep takes less energy at every period that both keep" in str(found.period_ms.reason)
    hungry = Alternative(16.0, "sleep", exact(200.0), board(4_000.0, rest(300.0, 0.0, 0.0), DEEP))
    found = break_even(fast("sleep"), hungry, ANY)
    assert found.period_ms.value == pytest.approx((800 - 60 - 450) / 0.7)
    assert (found.below, found.above, found.alone_below) == ("80 MHz, sleep", "16 MHz, sleep", "80 MHz, sleep")


def test_clocks_that_rest_alike_have_no_break_even_but_a_shortest_period():
    found = break_even(fast(), slow(), ANY)
    assert found.period_ms.value is None and found.below == found.above == "80 MHz, deep_sleep"
    assert (found.both_from_ms.value, found.alone_below) == (202.0, "80 MHz, deep_sleep")
    assert found.certain_from_ms == 202.0
    assert window_uj(fast(), 1000.0) < window_uj(slow(), 1000.0)


def test_a_crossing_before_the_deadline_does_not_count():
    # The lines of light and of deep sleep cross at 80 ms; half of the period is kept for the application.
    assert break_even(fast("sleep"), fast(), ANY).period_ms.value == pytest.approx(80.1, abs=0.1)
    found = break_even(fast("sleep"), fast(), ANY, reserve_cpu_pct=50)
    assert found.both_from_ms.value == 104.0
    assert found.period_ms.value is None and found.below == found.above == "80 MHz, deep_sleep"


def test_nothing_can_be_kept_of_a_period_that_is_all_reserved():
    with pytest.raises(StudyError, match=r"cpu_pct: 100"):
        break_even(fast("sleep"), fast(), ANY, reserve_cpu_pct=100)


def test_the_same_twice_has_nothing_to_choose():
    found = break_even(fast(), fast(), ANY)
    assert found.period_ms.reason == "both take the same energy at every period"
    assert (found.below, found.above, found.alone_below, found.certain_from_ms) == (None,) * 4


def test_what_is_not_known_has_a_reason():
    unknown = Alternative(16.0, "sleep", exact(9.0), PowerStates.unknown("no energy model", 3.0))
    found = break_even(fast(), unknown, ANY)
    assert found.period_ms.reason == found.both_from_ms.reason == "no energy model"
    assert (found.below, found.above, found.certain_from_ms) == (None, None, None)


def test_an_uncertain_order_says_from_where_it_is_certain():
    light = SleepState(power_uw=spread(1000, 500, 1500), wake_up_ms=exact(0.0), wake_up_energy_uj=exact(0.0))
    states = FAST.model_copy(update={"sleep": light})
    one, other = (Alternative(80.0, sleep, exact(50.0), states) for sleep in ("sleep", "deep_sleep"))
    found = break_even(one, other, ANY)
    assert found.period_ms.low == pytest.approx((30 + 75 - 0.208) / 1.496)
    assert found.period_ms.high == pytest.approx((30 + 25 - 0.208) / 0.496)
    assert found.certain_from_ms == found.period_ms.high
    vague = states.model_copy(update={"sleep": light.model_copy(update={"power_uw": spread(1000, 2, 1500)})})
    found = break_even(one._replace(states=vague), other._replace(states=vague), ANY)
    assert found.period_ms.value == pytest.approx((80 - 0.208) / 0.996)
    assert (found.period_ms.low, found.period_ms.high) == (52.0, LONGEST_PERIOD_MS)
    assert found.certain_from_ms is None


def test_the_error_of_a_shared_estimate_is_common_to_both():
    """Half of the run power or twice of it: it is the same run power in both states."""
    states = FAST.model_copy(update={"run_power_uw": spread(10_000, 5_000, 20_000)})
    one, other = (Alternative(80.0, sleep, exact(50.0), states) for sleep in ("sleep", "deep_sleep"))
    period = break_even(one, other, ANY).period_ms
    assert period.low == pytest.approx(period.value) and period.high == pytest.approx(period.value)
    slower = spread(50, 40, 80)
    found = break_even(one._replace(latency_ms=slower), other._replace(latency_ms=slower), ANY)
    assert found.period_ms.high - found.period_ms.low == pytest.approx(40.0)
    assert [found.rest_ms.low, found.rest_ms.high] == pytest.approx([found.rest_ms.value] * 2)


def test_equal_estimates_of_different_quantities_are_not_shared():
    """1 to 2 ms of latency and 1 to 2 uW of rest are not the same error."""
    twice = spread(1.0, 1.0, 2.0)
    resting = SleepState(power_uw=twice, wake_up_ms=exact(0.0), wake_up_energy_uj=exact(0.0))
    one = Alternative(80.0, "sleep", exact(1.0), board(2000.0, LIGHT, DEEP).model_copy(update={"sleep": resting}))
    other = Alternative(16.0, "sleep", twice, board(2000.0, rest(0.0, 0.0, 1.0), DEEP))
    assert break_even(one, other, ANY).period_ms.high == pytest.approx((4 + 1 - 2) / 1e-3 + 1)


def test_pairs_differ_in_one_thing():
    every = [make(sleep) for make in (fast, slow) for sleep in ("sleep", "deep_sleep")]
    assert {(found.one, found.other) for found in break_evens(every, ANY)} == {
        ("80 MHz, sleep", "80 MHz, deep_sleep"),
        ("80 MHz, sleep", "16 MHz, sleep"),
        ("80 MHz, deep_sleep", "16 MHz, deep_sleep"),
        ("16 MHz, sleep", "16 MHz, deep_sleep"),
    }


def test_rows_mark_the_best_that_keeps_its_period():
    cheap = Alternative(16.0, "deep_sleep", exact(200.0), board(1_000.0, LIGHT, DEEP))
    every = [fast(), fast("sleep"), cheap]
    rows = cost_rows(every, [Cadenced(period_ms=p) for p in (60, 150, 400)], Battery(220.0))
    best = {row.period_ms: (row.clock_mhz, row.sleep, row.certain) for row in rows if row.best}
    assert best == {60: (80.0, "sleep", True), 150: (80.0, "deep_sleep", True), 400: (16.0, "deep_sleep", True)}
    late = next(row for row in rows if (row.period_ms, row.clock_mhz) == (150, 16.0))
    assert late.deadline_missed and late.deadline_misses_per_h.value == 24_000
    assert late.skipped_share.value == pytest.approx(1 - 150 / 202)
    for row in rows:
        assert row.battery_life_h.value == pytest.approx(220 * 3e3 / row.average_power_uw.value)
        alternative = next(
            a for a in (fast(), fast("sleep"), cheap) if (a.clock_mhz, a.sleep) == (row.clock_mhz, row.sleep)
        )
        assert row.energy_per_window_uj.value == window_uj(alternative, row.period_ms)


def test_a_best_that_other_figures_could_beat_is_not_certain():
    vague = fast("sleep")._replace(states=FAST.model_copy(update={"run_power_uw": spread(10_000, 9_000, 11_000)}))
    for latency_ms, certain in ((99.0, True), (101.0, False)):  # 798 and 804 uJ, against 850 [800, 900]
        rival = Alternative(16.0, "sleep", exact(latency_ms), board(5_000.0, LIGHT, DEEP))
        rows = cost_rows([vague, rival], [Cadenced(period_ms=400)], Battery(1))
        assert [(row.best, row.certain) for row in rows] == [(False, False), (True, certain)]


@pytest.mark.parametrize(
    ("rival", "certain"),
    [
        # 30.8 ms, or 28.1: it may keep 30 ms, and takes less.
        (Alternative(16.0, "sleep", spread(30.8, 28.1, 50.5), board(5_000.0, LIGHT, DEEP)), False),
        (Alternative(16.0, "sleep", spread(30.8, 30.1, 50.5), board(5_000.0, LIGHT, DEEP)), True),
        (Alternative(16.0, "sleep", spread(30.8, 28.1, 50.5), board(50_000.0, LIGHT, DEEP)), True),
        (Alternative(16.0, "sleep", exact(30.8), board(5_000.0, LIGHT, DEEP)), True),
        (Alternative(16.0, "sleep", exact(9.0), PowerStates.unknown("no energy model", 3.0)), False),
        (Alternative(16.0, "sleep", exact(31.0), PowerStates.unknown("no energy model", 3.0)), True),
    ],
    ids=["may keep it", "late", "may keep it for more", "late, exact", "unknown", "unknown and late"],
)
def test_the_best_is_certain_only_against_all_that_may_keep_the_period(rival, certain):
    best = Alternative(120.0, "sleep", exact(20.0), FAST)
    rows = cost_rows([rival, best], [Cadenced(period_ms=30)], Battery(1))
    assert [(row.best, row.certain) for row in rows] == [(False, False), (True, certain)]


def test_a_row_holds_what_its_schedule_notes():
    close = Alternative(16.0, "sleep", spread(30.8, 28.1, 50.5), FAST)
    straddling, kept = cost_rows([close], [Cadenced(period_ms=p) for p in (30, 100)], Battery(1))
    assert straddling.notes == (
        "the deadline of 30 ms is missed by 0.8 ms, within the interval [28.1, 50.5] ms of wake-up and latency",
    )
    assert kept.notes == ()


def test_no_energy_no_best():
    unknown = Alternative(16.0, "sleep", exact(9.0), PowerStates.unknown("no energy model", 3.0))
    (row,) = cost_rows([unknown], [Cadenced(period_ms=100)], Battery(220.0))
    assert not row.best and row.energy_per_window_uj.reason == row.battery_life_h.reason == "no energy model"
    with pytest.raises(StudyError, match="capacity"):
        cost_rows([fast()], [Cadenced(period_ms=100)], Battery(0.0))


def test_sensors_draw_alike_in_both_and_move_no_break_even():
    sensors = Sampling(power_uw=700.0, collect_ms=90.0, reason="made up")
    found = break_even(fast("sleep"), fast(), Cadenced(period_ms=100.0, sampling=sensors))
    assert found.both_from_ms.value == 90.0, "there is no shorter period than the time of collecting"
    assert found.above == found.below == "80 MHz, deep_sleep"


# Laws over any two alternatives.

rests = st.builds(rest, st.floats(0, 1e3), st.floats(0, 5), st.floats(0, 50))
alternatives = st.builds(
    lambda clock, latency, run, state: Alternative(clock, "sleep", exact(latency), board(run, state, state)),
    st.floats(1, 500),
    st.floats(0.01, 300),
    st.floats(1e3, 1e5),
    rests,
)


@given(alternatives, alternatives, st.floats(0, 10), st.floats(0, 1))
def test_the_break_even_is_where_the_schedules_cost_the_same(one, other, margin, where):
    """Judged by ``characterise``, which knows nothing of straight lines."""
    assume(one.clock_mhz != other.clock_mhz)
    found = break_even(one, other, Cadenced(period_ms=20.0, wake_margin_ms=margin))
    named = {one.label: one, other.label: other}
    floor = found.both_from_ms.value
    assume(floor > margin)

    def gap(period):
        """How much the one named ``above`` saves over the other, in relation to both."""
        above = named[found.above]
        loser = other if above is one else one
        costs = [window_uj(alternative, period, margin) for alternative in (loser, above)]
        return (costs[0] - costs[1]) / max(costs)

    assume(found.above is not None)
    turn = found.period_ms.value
    if turn is None:
        for period in (floor, floor + where * 1e3, floor * 1e3):
            assert gap(period * (1 + 1e-12)) >= -1e-9, found.period_ms.reason
        return
    assert turn >= floor
    assert gap(turn) == pytest.approx(0, abs=1e-6)
    assert gap(floor + where * (turn - floor)) <= 1e-6
    assert gap(turn * (1 + where)) >= -1e-6


def triples(low, high):
    return st.tuples(st.floats(low, high), st.floats(low, high), st.floats(low, high)).map(sorted)


@given(st.data())
def test_the_true_break_even_lies_inside_the_interval(data):
    """True figures anywhere inside their intervals: their break-even is inside, and what is certain is so."""
    ranges = {"latency": (1, 200), "run": (2e3, 1e5), "rest": (0, 1e3), "wake": (0, 5), "energy": (0, 50)}
    wide, point, drawn = [], [], {}
    for clock in (80.0, 16.0):
        ends = [(name, *data.draw(triples(*ends), name)) for name, ends in ranges.items()]
        for name, low, middle, high in ends:
            # The same estimate of the same quantity is shared: so is its true figure.
            drawn.setdefault((name, low, middle, high), data.draw(st.floats(low, high), f"true {name}"))
        for made, figures in (
            (wide, [spread(middle, low, high) for _, low, middle, high in ends]),
            (point, [exact(drawn[name]) for name in ends]),
        ):
            latency, run, power, wake, energy = figures
            state = SleepState(power_uw=power, wake_up_ms=wake, wake_up_energy_uj=energy)
            states = PowerStates(run_power_uw=run, sleep=state, deep_sleep=state, volt=3.0)
            made.append(Alternative(clock, "sleep", latency, states))
    found, true = break_even(*wide, ANY), break_even(*point, ANY)
    assert found.both_from_ms.low * (1 - 1e-9) <= true.both_from_ms.value <= found.both_from_ms.high * (1 + 1e-9)
    if found.period_ms.value is not None and true.period_ms.value is not None and true.above == found.above:
        assert found.period_ms.low * (1 - 1e-9) <= true.period_ms.value <= found.period_ms.high * (1 + 1e-9)
        slack = 1e-9 * true.period_ms.value
        assert found.rest_ms.low - slack <= true.rest_ms.value <= found.rest_ms.high + slack
    if found.certain_from_ms is not None:
        best = {alternative.label: alternative for alternative in point}[found.above]
        worse = next(alternative for alternative in point if alternative is not best)
        for factor in (1.0, data.draw(st.floats(1, 1e3))):
            period = max(found.certain_from_ms, true.both_from_ms.value) * factor
            assert window_uj(best, period) <= window_uj(worse, period) * (1 + 1e-6)
