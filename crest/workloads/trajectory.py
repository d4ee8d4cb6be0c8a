"""Errors of displacement predictions: of the windows themselves, and of the tracks they add up to.

A window of ``window`` samples spans ``window - 1`` sampling intervals, so a displacement over it is worth
``stride / (window - 1)`` of itself per stride: 1 / 9.95 at 200 samples and a stride of 20.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Windowing:
    """How windows are laid over recordings, in samples, and the rate of the samples."""

    window: int
    stride: int
    rate_hz: float

    @property
    def period_ms(self) -> float:
        """Time between two windows."""
        return 1000.0 * self.stride / self.rate_hz


def displacement_errors(actual: Floats, predicted: Floats) -> dict[str, float]:
    """Root mean square errors over windows, in metres, of displacements [n, 2] over a window.

    ``rmse_total`` is the published sum ``rmse_x + rmse_y``; ``rmse_2d`` is the RMS distance in the plane.
    """
    mean_square = np.mean((predicted - actual) ** 2, axis=0)
    rmse_x, rmse_y = (float(value) for value in np.sqrt(mean_square))
    return {
        "rmse_x": rmse_x,
        "rmse_y": rmse_y,
        "rmse_total": rmse_x + rmse_y,
        "rmse_2d": float(np.sqrt(mean_square.sum())),
    }


def reference_track(position_m: Floats, strides: int, windowing: Windowing) -> Floats:
    """True positions [strides + 1, 2] that the displacements of ``strides`` windows lead through.

    A window's mean velocity belongs to its centre. The track starts half a stride before the centre of the first
    window and ends half a stride behind that of the last; half samples are interpolated.
    """
    first = (windowing.window - 1 - windowing.stride) / 2
    at = first + windowing.stride * np.arange(strides + 1)
    index = np.arange(len(position_m))
    return np.stack([np.interp(at, index, position_m[:, axis]) for axis in range(2)], axis=1)


def integrate(start: NDArray[np.int32], predicted: Floats, reference: Floats, windowing: Windowing) -> Floats:
    """Track [strides + 1, 2] that predicted displacements add up to, from the start of the reference.

    Args:
        start: [n] first sample of each window, multiples of the stride.
        predicted: [n, 2] displacements over a window, in metres.
        reference: [strides + 1, 2] from `reference_track`; it also bridges windows that were left out.
        windowing: how the windows were laid.
    """
    steps = np.diff(reference, axis=0)
    steps[start // windowing.stride] = predicted * (windowing.stride / (windowing.window - 1))
    return np.concatenate([reference[:1], reference[0] + np.cumsum(steps, axis=0)])


def absolute_error_m(track: Floats, reference: Floats) -> float:
    """ATE: mean distance between two tracks that start together."""
    return float(np.mean(np.linalg.norm(track - reference, axis=1)))


def relative_error_m_per_min(track: Floats, reference: Floats, windowing: Windowing) -> float:
    """RTE: mean error of the displacement over one minute, over all minutes of the track.

    A track of less than a minute is taken as a whole and its error scaled to one.
    """
    minute = max(1, round(60_000.0 / windowing.period_ms))
    span = min(minute, len(track) - 1)
    error = (track[span:] - track[:-span]) - (reference[span:] - reference[:-span])
    return float(np.mean(np.linalg.norm(error, axis=1))) * minute / span
