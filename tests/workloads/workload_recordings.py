"""Hand-made recordings."""

from __future__ import annotations

import numpy as np

from crest.workloads.oxiod import Recording


def recording_of(position_m: np.ndarray, seed: int = 0) -> Recording:
    """A recording on a given track [n, 2 or 3]; every other column is noise of its own."""
    rng = np.random.default_rng(seed)
    n = len(position_m)
    full = np.zeros((n, 3))
    full[:, : position_m.shape[1]] = position_m
    return Recording(
        attitude_rad=rng.normal(size=(n, 3)),
        rotation_rate_rad_s=rng.normal(2.0, 3.0, size=(n, 3)),
        gravity_g=rng.normal(size=(n, 3)),
        user_acceleration_g=rng.normal(size=(n, 3)),
        magnetic_field_ut=rng.normal(10.0, 20.0, size=(n, 3)),
        position_m=full,
        orientation_xyzw=rng.normal(size=(n, 4)),
    )
