from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crest.workloads.trajectory import (
    Windowing,
    absolute_error_m,
    displacement_errors,
    integrate,
    reference_track,
    relative_error_m_per_min,
)

PUBLISHED = Windowing(200, 20, 100.0)


def starts(strides: int, windowing: Windowing = PUBLISHED) -> np.ndarray:
    return (windowing.stride * np.arange(strides)).astype(np.int32)


def test_errors_by_hand() -> None:
    actual = np.array([[0.0, 0.0], [1.0, 1.0]])
    predicted = np.array([[3.0, 0.0], [1.0, 5.0]])
    errors = displacement_errors(actual, predicted)
    assert errors["rmse_x"] == pytest.approx(np.sqrt(9 / 2))
    assert errors["rmse_y"] == pytest.approx(np.sqrt(16 / 2))
    assert errors["rmse_total"] == pytest.approx(np.sqrt(9 / 2) + np.sqrt(16 / 2))
    assert errors["rmse_2d"] == pytest.approx(np.sqrt(25 / 2))


@settings(max_examples=40, deadline=None)
@given(
    window=st.integers(3, 300),
    stride=st.integers(1, 299),
    strides=st.integers(1, 30),
    velocity=st.tuples(st.floats(-3, 3), st.floats(-3, 3)),
)
def test_constant_velocity_is_integrated_exactly(
    window: int, stride: int, strides: int, velocity: tuple[float, float]
) -> None:
    windowing = Windowing(window, min(stride, window - 1), 100.0)
    samples = windowing.window + windowing.stride * (strides - 1)
    position_m = 5.0 + np.arange(samples)[:, None] * np.array(velocity) / 100.0
    first = starts(strides, windowing)
    displacement = position_m[first + windowing.window - 1] - position_m[first]
    reference = reference_track(position_m, strides, windowing)
    track = integrate(first, displacement, reference, windowing)
    assert absolute_error_m(track, reference) < 1e-9
    assert relative_error_m_per_min(track, reference, windowing) < 1e-6


def test_a_stride_is_worth_one_part_in_9_95_of_a_window() -> None:
    reference = np.zeros((11, 2))
    track = integrate(starts(10), np.tile([9.95, 0.0], (10, 1)), reference, PUBLISHED)
    np.testing.assert_allclose(track[:, 0], np.arange(11.0), atol=1e-12)


def test_reference_lies_half_a_stride_about_the_centre_of_each_window() -> None:
    position_m = np.arange(240.0)[:, None] * [1.0, -2.0]
    reference = reference_track(position_m, 3, PUBLISHED)
    np.testing.assert_allclose(reference[:, 0], [89.5, 109.5, 129.5, 149.5])
    np.testing.assert_allclose(reference[:, 1], [-179.0, -219.0, -259.0, -299.0])


def test_ate_by_hand() -> None:
    reference = np.zeros((3, 2))
    track = np.array([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]])
    assert absolute_error_m(track, reference) == pytest.approx((0 + 5 + 10) / 3)


def test_rte_of_a_short_track_is_scaled_to_a_minute() -> None:
    reference = np.zeros((151, 2))
    track = np.linspace([0.0, 0.0], [3.0, 4.0], 151)
    assert relative_error_m_per_min(track, reference, PUBLISHED) == pytest.approx(5.0 * 60 / 30)


def test_rte_of_a_long_track_averages_every_minute() -> None:
    reference = np.zeros((601, 2))
    track = np.zeros((601, 2))
    track[300:, 0] = 2.0
    assert relative_error_m_per_min(track, reference, PUBLISHED) == pytest.approx(2.0 * 300 / 301)


def test_windows_left_out_are_bridged_by_the_reference() -> None:
    reference = np.array([[0.0, 0.0], [1.0, 0.0], [50.0, 0.0], [51.0, 0.0]])
    kept = np.array([0, 40], dtype=np.int32)
    track = integrate(kept, np.array([[9.95, 9.95], [9.95, 0.0]]), reference, PUBLISHED)
    np.testing.assert_allclose(track, [[0, 0], [1, 1], [50, 1], [51, 1]], atol=1e-12)


def test_period() -> None:
    assert PUBLISHED.period_ms == 200.0
    assert Windowing(100, 25, 50.0).period_ms == 500.0
