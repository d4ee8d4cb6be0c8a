from __future__ import annotations

import numpy as np

from crest.workloads.steps import REFRACTORY_SAMPLES, THRESHOLD_G, step_indicator


def bouncing(step_hz: float, amplitude_g: float, seconds: float = 20.0) -> np.ndarray:
    time_s = np.arange(round(seconds * 100)) / 100
    acceleration_g = np.zeros((len(time_s), 3))
    acceleration_g[:, 2] = -1.0 - amplitude_g * np.sin(2 * np.pi * step_hz * time_s)
    return acceleration_g


def test_counts_the_steps_of_regular_gaits() -> None:
    for step_hz in (1.2, 1.9, 2.8):
        steps = step_indicator(bouncing(step_hz, 0.3)).sum()
        assert abs(steps - 20 * step_hz) <= 1, step_hz


def test_is_binary_one_sample_a_step_and_evenly_spaced() -> None:
    indicator = step_indicator(bouncing(2.0, 0.3))
    assert set(np.unique(indicator)) == {0.0, 1.0}
    spacing = np.diff(np.flatnonzero(indicator)[2:])
    assert set(spacing) == {50}


def test_sign_and_axes_do_not_matter() -> None:
    forward = bouncing(1.7, 0.2)
    np.testing.assert_array_equal(step_indicator(forward), step_indicator(-forward[:, [2, 0, 1]]))


def test_stillness_and_sensor_noise_are_no_steps() -> None:
    rng = np.random.default_rng(0)
    assert step_indicator(bouncing(1.0, 0.0) + rng.normal(0, 0.01, size=(2000, 3))).sum() == 0
    assert step_indicator(bouncing(2.0, 0.8 * THRESHOLD_G)).sum() == 0


def test_shaking_is_limited_by_the_refractory_time() -> None:
    indicator = step_indicator(bouncing(4.9, 0.5))
    assert np.diff(np.flatnonzero(indicator)).min() >= REFRACTORY_SAMPLES
    assert indicator.sum() > 40


def test_one_long_push_is_one_step() -> None:
    acceleration_g = bouncing(1.0, 0.0, 4.0)
    acceleration_g[200:, 2] -= 0.5
    assert np.flatnonzero(step_indicator(acceleration_g)).tolist() == [200]


def test_rises_after_as_many_samples_as_the_means_say() -> None:
    """A push of 0.05 G moves the means of 10 and 100 samples apart by 0.0045 G a sample: 0.03 G at the seventh."""
    acceleration_g = bouncing(1.0, 0.0, 4.0)
    acceleration_g[200:, 2] -= 0.05
    assert np.flatnonzero(step_indicator(acceleration_g)).tolist() == [206]


def test_a_second_step_needs_a_swing_below_the_mean() -> None:
    acceleration_g = bouncing(1.0, 0.0, 4.0)
    acceleration_g[200:, 2] = -1.5
    acceleration_g[240:250, 2] = -1.25
    assert np.flatnonzero(step_indicator(acceleration_g)).tolist() == [200]
    acceleration_g[240:250, 2] = -1.0  # k samples later the means are 1 + 0.05 k and 1.2 + 0.005 k
    assert np.flatnonzero(step_indicator(acceleration_g)).tolist() == [200, 255]


def test_is_causal() -> None:
    rng = np.random.default_rng(3)
    acceleration_g = bouncing(1.9, 0.3) + rng.normal(0, 0.1, size=(2000, 3))
    whole = step_indicator(acceleration_g)
    for end in (1, 57, 333, 1500):
        np.testing.assert_array_equal(step_indicator(acceleration_g[:end]), whole[:end])
