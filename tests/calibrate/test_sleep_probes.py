"""Sleep probes: rows from which power by state and energy to wake up can be told; what a board lacks is said."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from crest.backends.emulated import EmulatedBackend
from crest.calibrate.probes import probe_suite, run_probes
from crest.calibrate.sleep_probes import run_sleep_probes, sleep_probe, sleep_schedules
from crest.errors import BackendError
from crest.targets import load_target


@pytest.fixture(scope="module")
def both_states():
    return run_sleep_probes(EmulatedBackend(), sleep_probe(load_target("nano33ble")))


def test_each_state_is_run_at_several_periods(both_states):
    assert both_states.left_out == {}
    names = [f"{sleep}_{period}ms" for sleep in ("sleep", "deep_sleep") for period in (4, 64, 4096)]
    assert [row.name for row in both_states.rows] == names
    for row in both_states.rows:
        period_ms = float(row.name.rpartition("_")[2].removesuffix("ms"))
        assert (row.group, row.wake_ups, row.clock_mhz, row.fetch_region) == ("probe", 1, 64, "flash")
        assert row.name.startswith(f"{row.sleep}_")
        assert 0.7 * period_ms < row.sleep_ms < row.sleep_ms + row.run_ms <= period_ms + 0.02
        assert row.counts["instructions"] == pytest.approx(2_000, rel=0.1)


def test_power_asleep_and_energy_to_wake_up_come_apart(both_states):
    running = run_probes(EmulatedBackend(), probe_suite(load_target("nano33ble"), instructions=300_000)[:1])
    matrix = []
    for row in (*running, *both_states.rows):
        chosen = [row.sleep == state for state in ("sleep", "deep_sleep")]
        matrix.append([row.run_ms, *(row.sleep_ms * own for own in chosen), *(row.wake_ups * own for own in chosen)])
    matrix = np.array(matrix)
    run_uw, asleep_uw, wake_up_uj = 16_000.0, (1500.0, 6.0), (0.4, 2.5)
    truth = np.array([run_uw, *asleep_uw, *(1e3 * energy for energy in wake_up_uj)])
    found, _, rank, _ = np.linalg.lstsq(matrix, matrix @ truth, rcond=None)
    assert rank == 5
    assert found == pytest.approx(truth, rel=1e-6)


def test_a_state_that_the_board_lacks_is_left_out_and_said():
    runs = run_sleep_probes(EmulatedBackend(), sleep_probe(load_target("portenta-h7"), clock_mhz=240))
    assert {row.sleep for row in runs.rows} == {"sleep"}
    assert {row.clock_mhz for row in runs.rows} == {240}
    assert list(runs.left_out) == ["deep_sleep"]
    assert "no timer to wait in this state" in runs.left_out["deep_sleep"]


def test_a_backend_that_cannot_wait_is_said():
    backend = SimpleNamespace(identity="meter/none", run=None)
    runs = run_sleep_probes(backend, sleep_probe(load_target("nucleo-l4r5zi")))
    assert runs.rows == []
    assert set(runs.left_out) == {"sleep", "deep_sleep"}
    assert all("meter/none cannot let a board wait" in reason for reason in runs.left_out.values())


def test_periods_that_wake_ups_do_not_fit_are_left_out_and_said(monkeypatch):
    backend = EmulatedBackend()
    honest = backend.run_cadenced
    monkeypatch.setattr(backend, "run_cadenced", lambda *arguments: honest(*arguments, wake_up_ms=6.0))
    runs = run_sleep_probes(backend, sleep_probe(load_target("portenta-h7")), windows=3)
    assert [row.name for row in runs.rows] == ["sleep_64ms", "sleep_4096ms"]
    assert "2 windows outlasted it, 2 wake-ups in 3" in runs.left_out["sleep_4ms"]
    for row in runs.rows:
        assert row.run_ms + row.sleep_ms < float(row.name.rpartition("_")[2].removesuffix("ms")) - 5.9


def test_other_trouble_is_no_missing_state(monkeypatch):
    backend = EmulatedBackend()

    def broken(*_):
        raise BackendError("wrong output")

    monkeypatch.setattr(backend, "run_cadenced", broken)
    with pytest.raises(BackendError, match="wrong output"):
        run_sleep_probes(backend, sleep_probe(load_target("nucleo-l4r5zi")))


def test_periods_follow_the_length_of_the_program():
    assert [schedule.period_ms for schedule in sleep_schedules(0.2, "sleep")] == [4, 64, 4096]
    assert [schedule.period_ms for schedule in sleep_schedules(2.3, "sleep")] == [12, 192, 12288]
