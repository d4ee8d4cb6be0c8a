"""Generated walks: what an inertial unit would record on them, written in OxIOD's on-disk layout.

Six ways of carrying the device, several recordings each. The magnetic field is the same everywhere in the room, so
that the heading can be told from the field and the direction of gravity; the step rate and the strength of the
steps tell the speed. Every recording has its own walker, grip, sensor biases and noise.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from crest.assets import cache_dir
from crest.errors import DataError
from crest.workloads.base import SplitName
from crest.workloads.gait import GRAVITY_M_S2, Carrying, Motion, simulate
from crest.workloads.oxiod import RATE_HZ, Floats, Recording, write_recording, write_split_file

# Part of the cache key: raise it when the same options begin to give other recordings.
GENERATOR_VERSION: Final = 1

# World axes x, y in the plane, z up: 19.4 uT horizontally, 66 degrees of dip.
WORLD_FIELD_UT: Final = (4.0, 19.0, -44.0)

ACTIVITIES: Final[dict[str, Carrying]] = {
    "handbag": Carrying((0.7, 1.5), (-60.0, 15.0, 80.0), bounce=0.6, swing_m=0.03, swing_rad=(0.08, 0.15, 0.10)),
    "handheld": Carrying((0.7, 1.6), (-90.0, 0.0, 35.0), bounce=0.55),
    "pocket": Carrying((0.7, 1.6), (-75.0, 8.0, -95.0), swing_m=0.05, swing_rad=(0.08, 0.30, 0.06)),
    "running": Carrying((1.8, 3.0), (-60.0, 20.0, 60.0), swing_m=0.03, swing_rad=(0.10, 0.15, 0.10)),
    "slow walking": Carrying((0.3, 0.8), (-90.0, 0.0, 30.0)),
    "trolley": Carrying(
        (0.5, 1.4), (-90.0, 0.0, 4.0), (0.0, 3.0), 0.2, surge_m=0.001, sway_m=0.001, swing_rad=(0.01, 0.005, 0.003)
    ),
}

# Share of the time, and the longest recording.
_SHARES: Final[dict[SplitName, float]] = {"train": 0.64, "valid": 0.18, "test": 0.18}
_LONGEST_S = 30.0


@dataclass(frozen=True)
class SensorErrors:
    """Standard deviations of the constant bias of a recording and of the noise of its samples, by sensor."""

    acceleration_bias_g: float = 0.003
    acceleration_noise_g: float = 0.004
    rotation_bias_rad_s: float = 0.003
    rotation_noise_rad_s: float = 0.005
    field_bias_ut: float = 0.5
    field_noise_ut: float = 0.4

    @classmethod
    def none(cls) -> SensorErrors:
        """A perfect sensor."""
        return cls(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def record(motion: Motion, errors: SensorErrors, rng: np.random.Generator) -> Recording:
    """What a phone on that walk would record.

    Attitude is the true one as roll, pitch, yaw of CoreMotion (yaw about z, then pitch about x, then roll about y);
    gravity follows from it, and user acceleration is the rest of what the accelerometer saw.
    """
    to_device = motion.orientation.inv()
    samples = len(motion.position_m)

    def seen(true: Floats, bias: float, noise: float) -> Floats:
        return true + rng.normal(0.0, bias, size=3) + rng.normal(0.0, noise, size=(samples, 3))

    up = np.array([0.0, 0.0, 1.0])
    acceleration_g = seen(
        -to_device.apply(motion.acceleration_m_s2 / GRAVITY_M_S2 + up),
        errors.acceleration_bias_g,
        errors.acceleration_noise_g,
    )
    gravity_g = -to_device.apply(up)
    return Recording(
        attitude_rad=motion.orientation.as_euler("ZXY")[:, [2, 1, 0]],
        rotation_rate_rad_s=seen(motion.angular_rate_rad_s, errors.rotation_bias_rad_s, errors.rotation_noise_rad_s),
        gravity_g=gravity_g,
        user_acceleration_g=acceleration_g - gravity_g,
        magnetic_field_ut=seen(to_device.apply(WORLD_FIELD_UT), errors.field_bias_ut, errors.field_noise_ut),
        position_m=motion.position_m,
        orientation_xyzw=motion.orientation.as_quat(),
    )


def write_walks(root: Path, minutes: float, seed: int, errors: SensorErrors | None = None) -> None:
    """Generate walks of ``minutes`` in total and write them below ``root`` in OxIOD's layout.

    The time is shared evenly among the activities; the same minutes and seed give the same bytes.
    """
    errors = errors or SensorErrors()
    for activity_index, (activity, carrying) in enumerate(ACTIVITIES.items()):
        for split_index, (split, share) in enumerate(_SHARES.items()):
            seconds = 60.0 * minutes * share / len(ACTIVITIES)
            count = math.ceil(seconds / _LONGEST_S)
            entries = [f"data{split_index + 1}/syn/imu{number}.csv" for number in range(1, count + 1)]
            for number, entry in enumerate(entries):
                rng = np.random.default_rng([seed, activity_index, split_index, number])
                motion = simulate(carrying, round(seconds / count * RATE_HZ), RATE_HZ, rng)
                write_recording(root / activity, entry, record(motion, errors, rng))
            write_split_file(root / activity, split, entries)


def cached_walks(minutes: float, seed: int) -> Path:
    """Return the root of generated walks, generating them unless the cache folder holds them.

    Written beside their final place and renamed, so that a run that is stopped leaves no half of a data set.

    Raises:
        DataError: the cache folder cannot be written.
        MissingExtraError: scipy is not installed.
        OutputError: the cache folder cannot be created.
    """
    parent = cache_dir("workloads")
    root = parent / f"walks-v{GENERATOR_VERSION}-{float(minutes)!r}min-seed{seed}"
    if root.is_dir():
        return root
    try:
        scratch = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=parent))
        try:
            write_walks(scratch, minutes, seed)
            _publish(scratch, root)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as exc:
        raise DataError(
            f"generated walks cannot be written: {exc}", hint="set CREST_CACHE to a folder that can be written"
        ) from exc
    return root


def _publish(scratch: Path, root: Path) -> None:
    scratch.chmod(0o755)
    try:
        scratch.rename(root)
    except OSError:
        # Another process was faster; it wrote the same bytes.
        if not root.is_dir():
            raise
