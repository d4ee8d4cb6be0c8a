"""A board that infers at a period and sleeps in between: releases, misses, wake-ups, and what is refused."""

from __future__ import annotations

import functools
import shutil
from types import SimpleNamespace

import pytest

from crest.backends.cadenced import declared_wake_up_ms
from crest.backends.emulated import EmulatedBackend
from crest.backends.session import Session
from crest.compiler.build import build_program, lower_graph
from crest.compiler.importer import import_tflite
from crest.compiler.toolchain import target_toolchain
from crest.errors import EmulationError, SleepStateError, StudyError
from crest.measurement import Estimate
from crest.schedule import Cadenced, PowerStates, Sampling, SleepState
from crest.targets import load_target, target_names
from crest.timing import load_cycle_model
from tests.models_small import residual_model

# Boards whose firmware cannot wait in a state yet; docs/targets.md says the same.
WITHOUT = {("portenta-h7", "deep_sleep")}
STATES = [(name, sleep) for name in target_names() for sleep in ("sleep", "deep_sleep")]
ABLE = [pair for pair in STATES if pair not in WITHOUT]
# What a window costs beside the inference: loop, timer, and a wait, behind which a PLL may have to start again.
BESIDE_CYCLES = 1500


@functools.cache
def program(name: str, toolchain: str = "zig", clock_mhz: float | None = None):
    target = load_target(name).at(clock_mhz)
    lowered = lower_graph(import_tflite(residual_model(), "small"), target.core)
    return build_program(lowered, target, target_toolchain(toolchain, target))


@functools.cache
def latency_cycles(name: str) -> float:
    built = program(name)
    model = load_cycle_model(built.target, built.layout.code)
    return model.total_cycles(EmulatedBackend().run(built).profile).value


def run(name: str, period_ms: float, sleep: str, windows: int = 3, **options):
    return EmulatedBackend().run_cadenced(program(name), Cadenced(period_ms=period_ms, sleep=sleep), windows, **options)


@pytest.mark.parametrize(("name", "sleep"), ABLE)
def test_windows_are_released_at_the_period_and_the_board_sleeps_in_between(name, sleep):
    record = run(name, 5.0, sleep)
    count_ms = 1e3 / record.timer_hz
    assert (record.windows, record.missed, record.wake_ups) == (3, 0, 3)
    assert record.duration_ms == pytest.approx(15.0, abs=2 * count_ms)
    assert [segment.state for segment in record.segments] == ["wake_up", "run", sleep] * 3
    run_cycles = record.time_ms("run") * record.clock_mhz * 1e3
    # Code around the model lies elsewhere than that of a plain run: a few lines of flash more or less.
    assert record.inference_cycles == pytest.approx(3 * latency_cycles(name), rel=0.01)
    assert 0 <= run_cycles - record.inference_cycles < 3 * BESIDE_CYCLES
    assert record.backend == EmulatedBackend().identity
    assert record.elf_sha256 == program(name).elf_sha256


@pytest.mark.parametrize(("name", "clock_mhz"), [(n, mhz) for n in target_names() for mhz in load_target(n).clock_mhz])
@pytest.mark.parametrize("toolchain", ["zig", "gcc"])
def test_every_clock_keeps_the_period_with_both_compilers(name, clock_mhz, toolchain):
    if toolchain == "gcc" and not shutil.which("arm-none-eabi-gcc"):
        pytest.skip("arm-none-eabi-gcc is not on PATH")
    built = program(name, toolchain, clock_mhz)
    for sleep in ("sleep", "deep_sleep"):
        if (name, sleep) in ABLE:
            record = EmulatedBackend().run_cadenced(built, Cadenced(period_ms=7.5, sleep=sleep), 2)
            assert (record.clock_mhz, record.missed, record.wake_ups) == (clock_mhz, 0, 2)
            assert record.duration_ms == pytest.approx(15.0, abs=2e3 / record.timer_hz)


@pytest.mark.parametrize(("name", "sleep"), [pair for pair in STATES if pair in WITHOUT])
def test_a_board_that_cannot_wait_in_a_state_says_so(name, sleep):
    with pytest.raises(SleepStateError, match="has no timer to wait in this state") as caught:
        run(name, 5.0, sleep)
    assert "docs/targets.md" in caught.value.hint


@pytest.mark.parametrize("sleep", ["sleep", "deep_sleep"])
def test_a_window_that_outlasts_its_period_is_missed_and_the_next_one_follows(sleep):
    record = run("nano33ble", 0.02, sleep, windows=8)
    assert record.missed == 8
    assert record.time_ms(sleep) == 0
    busy_ms = 8 * latency_cycles("nano33ble") / record.clock_mhz * 1e-3
    assert record.duration_ms == pytest.approx(busy_ms, rel=0.1)


@pytest.mark.parametrize("sleep", ["sleep", "deep_sleep"])
def test_releases_do_not_drift_where_a_period_is_not_a_whole_number_of_counts(sleep):
    record = run("nano33ble", 3.337, sleep, windows=60)
    assert record.missed == 0
    assert record.duration_ms == pytest.approx(60 * 3.337, abs=1.5e3 / record.timer_hz)


def test_a_long_wait_takes_several_rounds_of_the_timer():
    record = run("nucleo-h7a3zi", 20_000.0, "sleep", windows=1)
    assert record.wake_ups > 1
    assert record.duration_ms == pytest.approx(20_000, abs=1e-3)


@pytest.mark.parametrize("wake_up_ms", [0.0, 0.003, 0.4])
def test_an_inference_begins_when_the_wake_up_is_over(wake_up_ms):
    record = run("nano33ble", 5.0, "deep_sleep", wake_up_ms=wake_up_ms)
    assert record.wake_up_ms == wake_up_ms
    assert record.time_ms("wake_up") == pytest.approx(3 * wake_up_ms)
    assert record.duration_ms == pytest.approx(15.0, abs=0.07)
    beside_ms = BESIDE_CYCLES / record.clock_mhz * 1e-3
    latency_ms = latency_cycles("nano33ble") / record.clock_mhz * 1e-3
    assert 0 <= record.time_ms("run") / 3 - latency_ms < beside_ms


@pytest.mark.parametrize(("wake_up_ms", "margin_ms"), [(0.1, 1.0), (0.4, 0.4), (0.7, 0.25)])
def test_a_board_that_is_woken_early_stays_awake_until_the_release(wake_up_ms, margin_ms):
    schedule = Cadenced(period_ms=5.0, sleep="sleep", wake_margin_ms=margin_ms)
    record = EmulatedBackend().run_cadenced(program("nano33ble"), schedule, 3, wake_up_ms=wake_up_ms)
    beside_ms = BESIDE_CYCLES / record.clock_mhz * 1e-3
    awake_ms = max(0.0, margin_ms - wake_up_ms) + latency_cycles("nano33ble") / record.clock_mhz * 1e-3
    assert (record.wake_margin_ms, record.missed, record.wake_ups) == (margin_ms, 0, 3)
    assert record.time_ms("wake_up") == pytest.approx(3 * wake_up_ms)
    assert 0 <= record.time_ms("run") / 3 - awake_ms < beside_ms
    assert record.duration_ms == pytest.approx(15.0, abs=1e-3)


def test_the_wake_up_is_that_of_the_energy_model_where_there_is_one():
    record = run("nano33ble", 5.0, "deep_sleep")
    assert record.wake_up_ms == declared_wake_up_ms(program("nano33ble"), Cadenced(period_ms=5.0))
    assert record.wake_up_ms > 0


@pytest.mark.parametrize("period_ms", [0.0001, 1.0005, 1e7])
def test_a_period_that_no_board_can_keep_is_refused(period_ms):
    with pytest.raises(StudyError, match="cannot keep a period"):
        run("nano33ble", period_ms, "sleep")


def test_sensors_are_refused():
    schedule = Cadenced(period_ms=5.0, sampling=Sampling(power_uw=1.0, reason="made up"))
    with pytest.raises(StudyError, match="without sensors"):
        EmulatedBackend().run_cadenced(program("nano33ble"), schedule, 1)


def test_a_margin_that_no_timer_can_keep_is_refused():
    schedule = Cadenced(period_ms=5.0, sleep="sleep", wake_margin_ms=0.0005)
    with pytest.raises(StudyError, match=r"cannot keep a wake margin of 0\.0005 ms"):
        EmulatedBackend().run_cadenced(program("nano33ble"), schedule, 1)


def test_energy_is_power_by_state_and_wake_ups():
    record = run("nano33ble", 5.0, "sleep", wake_up_ms=0.5)
    exact = [Estimate(value=value, origin="estimated") for value in (20_000.0, 300.0, 0.5, 7.0)]
    rest = SleepState(power_uw=exact[1], wake_up_ms=exact[2], wake_up_energy_uj=exact[3])
    states = PowerStates(run_power_uw=exact[0], sleep=rest, deep_sleep=SleepState.unknown("not asked for"), volt=3.0)
    expected = 20.0 * record.time_ms("run") + 0.3 * record.time_ms("sleep") + 3 * 7.0
    assert record.energy_uj(states).value == pytest.approx(expected)


def test_no_windows_are_refused():
    with pytest.raises(StudyError, match="at least one"):
        run("nano33ble", 5.0, "sleep", windows=0)


def test_an_engine_that_keeps_no_time_is_refused(monkeypatch):
    backend = EmulatedBackend()
    untimed = SimpleNamespace(close=lambda: None)
    monkeypatch.setattr(backend, "_engine", SimpleNamespace(name="renode", boot=lambda *_: untimed))
    with pytest.raises(SleepStateError, match="engine renode cannot run a board at a period") as caught:
        backend.run_cadenced(program("nano33ble"), Cadenced(period_ms=5.0), 1)
    assert "unicorn" in caught.value.hint


def test_a_timer_that_lost_rounds_is_found_out(monkeypatch):
    honest = Session.cadence

    def short(self, *arguments):
        said = honest(self, *arguments)
        return type(said)(said.missed, said.crc, said.timer_hz, said.elapsed_s - 2.0)

    monkeypatch.setattr(Session, "cadence", short)
    with pytest.raises(EmulationError, match="the board's timer says"):
        run("nano33ble", 1000.0, "sleep")
