"""A causal step detector on the norm of the acceleration, cheap enough to run at the sensor's rate on the device."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

FAST_SAMPLES: Final = 10
SLOW_SAMPLES: Final = 100
THRESHOLD_G: Final = 0.03
REFRACTORY_SAMPLES: Final = 25

# Ring of the last second of norms, two running sums, ring position, refractory counter and the armed flag.
STATE_BYTES: Final = 4 * (SLOW_SAMPLES + 2 + 3)


def step_indicator(acceleration_g: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mark the samples at which a step is detected, using no later sample.

    The detector compares the norm's mean over the last 0.1 s with its mean over the last 1 s (at 100 Hz; over what
    there is before that). A step is the sample at which the difference rises through 0.03 G, at least 0.25 s after
    the step before, and not before the difference has been below zero since. Two running sums do it on the device.

    Args:
        acceleration_g: [n, 3] acceleration including gravity, in G; its sign does not matter.

    Returns:
        [n] of 0 and 1, 1 only at the detected samples.
    """
    norm_g = np.linalg.norm(acceleration_g, axis=1)
    difference_g = _trailing_mean(norm_g, FAST_SAMPLES) - _trailing_mean(norm_g, SLOW_SAMPLES)
    above = difference_g > THRESHOLD_G
    rises = np.flatnonzero(above[1:] & ~above[:-1]) + 1
    below_so_far = np.cumsum(difference_g < 0.0)
    indicator = np.zeros(len(norm_g))
    last = -REFRACTORY_SAMPLES
    below_at_last = -1
    for rise in rises:
        if rise - last >= REFRACTORY_SAMPLES and below_so_far[rise] > below_at_last:
            indicator[rise] = 1.0
            last, below_at_last = int(rise), int(below_so_far[rise])
    return indicator


def _trailing_mean(values: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Mean of the last ``length`` values up to and including each, of fewer at the beginning."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    end = np.arange(1, len(values) + 1)
    start = np.maximum(end - length, 0)
    mean: NDArray[np.float64] = (sums[end] - sums[start]) / (end - start)
    return mean
