"""Inertial odometry: how far, and where to, a person went during a window of inertial samples."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from crest.errors import DataError, StudyError, TrainingError
from crest.frozen import Frozen
from crest.workloads.base import BufferPlan, Head, Split, SplitName
from crest.workloads.oxiod import RATE_HZ, Recording, RecordingFiles, list_recordings, read_recording
from crest.workloads.steps import STATE_BYTES, step_indicator
from crest.workloads.trajectory import (
    Windowing,
    absolute_error_m,
    displacement_errors,
    integrate,
    reference_track,
    relative_error_m_per_min,
)
from crest.workloads.walks import cached_walks
from crest.yaml_io import validate

CHANNELS: Final = (
    *(f"acceleration_{axis}" for axis in "xyz"),
    *(f"rotation_rate_{axis}" for axis in "xyz"),
    *(f"magnetic_field_{axis}" for axis in "xyz"),
    "step",
)
_SENSOR_CHANNELS = 9

# Part of the fingerprint: raise it when the same files begin to give other windows.
_WINDOWS_VERSION = 1


class OdometryOptions(Frozen):
    """Options of the workload in a study: ``source: generated`` or ``oxiod: <folder>``, and how windows are cut.

    ``minutes`` and ``seed`` shape generated walks. A window that holds a step of the tracked position faster than
    ``max_speed_m_s`` is left out: there the tracker jumped, not the person.
    """

    source: Literal["generated"] | None = None
    oxiod: Path | None = None
    minutes: float = Field(default=14.0, ge=2.0, le=600.0)
    seed: int = Field(default=1, ge=0)
    window: int = Field(default=200, ge=2)
    stride: int = Field(default=20, ge=1)
    max_speed_m_s: float = Field(default=12.0, gt=0.0)

    @model_validator(mode="after")
    def _consistent(self) -> OdometryOptions:
        if (self.source is None) == (self.oxiod is None):
            raise ValueError("give either 'source: generated' or 'oxiod: <folder>'")
        if self.oxiod is not None and (ignored := {"minutes", "seed"} & self.model_fields_set):
            raise ValueError(f"{', '.join(sorted(ignored))} only apply to 'source: generated'")
        if self.stride >= self.window:
            raise ValueError(f"stride {self.stride} must be smaller than window {self.window}")
        return self


@dataclass(frozen=True)
class _Loaded:
    """A split in raw units, and for every recording its tracked horizontal position [n, 2]."""

    split: Split
    positions_m: tuple[NDArray[np.float64], ...]


class Odometry:
    """Windows of inertial samples in OxIOD's format, and the horizontal displacement over each of them.

    Input: [window, 10], in this order acceleration including gravity (G), rotation rate (rad/s), magnetic field (uT),
    each in the device's axes and standardised with mean and standard deviation of the training recordings; then the
    step indicator of `crest.workloads.steps`, which stays 0 or 1. Target: position of the last sample minus position
    of the first, x and y of the world, in metres.
    """

    name = "odometry"
    heads = (Head("x", 1, "mse"), Head("y", 1, "mse"))
    error_metrics = ("rmse_x", "rmse_y", "rmse_total", "rmse_2d", "ate_m", "rte_m_per_min")

    def __init__(self, root: Path, *, window: int = 200, stride: int = 20, max_speed_m_s: float = 12.0) -> None:
        """Read the split files below ``root``; recordings are read when a split is asked for.

        Raises:
            DataError: split files are missing, empty, or name recordings that are not there.
        """
        self.root = root
        self.max_speed_m_s = max_speed_m_s
        self.windowing = Windowing(window, stride, RATE_HZ)
        self.input_shape: tuple[int, ...] = (window, len(CHANNELS))
        self.period_ms = self.windowing.period_ms
        self._files = list_recordings(root)
        self._loaded: dict[SplitName, _Loaded] = {}
        self._standardisation: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
        self._fingerprint: str | None = None

    @classmethod
    def from_oxiod(cls, root: Path, **windows: Any) -> Odometry:
        """Recordings in OxIOD's layout below ``root``; keywords as in the options."""
        return cls(root.expanduser(), **windows)

    @classmethod
    def generated(cls, *, minutes: float = 14.0, seed: int = 1, **windows: Any) -> Odometry:
        """Generated walks, kept in the cache folder; keywords as in the options.

        Raises:
            MissingExtraError: scipy is not installed and the walks are not cached yet.
        """
        return cls(cached_walks(minutes, seed), **windows)

    @classmethod
    def from_options(cls, options: OdometryOptions | Mapping[str, Any], folder: Path | None = None) -> Odometry:
        """The workload that a study asks for; a relative ``oxiod`` starts from ``folder``.

        Raises:
            StudyError: options that are unknown or do not fit together.
        """
        if not isinstance(options, OdometryOptions):
            options = validate(options, OdometryOptions, "workload.odometry", StudyError)
        windows = options.model_dump(include={"window", "stride", "max_speed_m_s"})
        if options.oxiod is not None:
            return cls.from_oxiod((folder or Path()) / options.oxiod.expanduser(), **windows)
        return cls.generated(minutes=options.minutes, seed=options.seed, **windows)

    def split(self, name: SplitName) -> Split:
        """Windows of a split, in the order of its split files; loaded once.

        Raises:
            DataError: a broken recording, or not one whole window in the split.
        """
        return self._load(name).split

    @property
    def standardisation(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation [10] that the input is standardised with; (0, 1) for the step indicator."""
        self._load("train")
        assert self._standardisation is not None
        return self._standardisation

    def metrics(self, split: SplitName, predicted: NDArray[np.float32]) -> dict[str, float]:
        """Errors of predicted displacements [n, 2] (m); all windows alike, tracks averaged over the recordings.

        Raises:
            TrainingError: predictions of another shape, or not finite.
        """
        loaded = self._load(split)
        expected = loaded.split.y.shape
        if predicted.shape != expected:
            raise TrainingError(f"odometry, split {split}: predictions {predicted.shape}, expected {expected}")
        if not np.isfinite(predicted).all():
            raise TrainingError(f"odometry, split {split}: predictions are not finite", hint="training diverged")
        moved_m = predicted.astype(np.float64)
        errors = displacement_errors(loaded.split.y.astype(np.float64), moved_m)
        absolute, relative = [], []
        for recording in np.unique(loaded.split.recording):
            own = loaded.split.recording == recording
            position_m = loaded.positions_m[recording]
            strides = (len(position_m) - self.windowing.window) // self.windowing.stride + 1
            reference = reference_track(position_m, strides, self.windowing)
            track = integrate(loaded.split.start[own], moved_m[own], reference, self.windowing)
            absolute.append(absolute_error_m(track, reference))
            relative.append(relative_error_m_per_min(track, reference, self.windowing))
        return errors | {"ate_m": float(np.mean(absolute)), "rte_m_per_min": float(np.mean(relative))}

    def buffers(self, element_bytes: int) -> BufferPlan:
        """RAM around the network.

        ``sensor_window`` is a ring of standardised samples in the network's element type: the network's input tensor
        is separate, since inference destroys it and the next window reuses all but a stride. ``standardisation``
        holds offset and factor (float32) of the nine sensor channels; ``step_detector`` is the detector's state.
        """
        window, channels = self.input_shape
        return BufferPlan(
            {
                "sensor_window": window * channels * element_bytes,
                "standardisation": _SENSOR_CHANNELS * 2 * 4,
                "step_detector": STATE_BYTES,
            }
        )

    def fingerprint(self) -> str:
        """SHA-256 over the bytes of every listed file, its split, and the options that shape windows."""
        if self._fingerprint is None:
            shape = {
                "workload": self.name,
                "version": _WINDOWS_VERSION,
                "windowing": asdict(self.windowing),
                "max_speed_m_s": float(self.max_speed_m_s),
                "data": {
                    split: [(entry.name, _sha256(entry.imu), _sha256(entry.track)) for entry in files]
                    for split, files in self._files.items()
                },
            }
            self._fingerprint = hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()
        return self._fingerprint

    def _load(self, name: SplitName) -> _Loaded:
        if name not in self._loaded:
            if name != "train" and self._standardisation is None:
                self._load("train")
            recordings = [_channels(entry) for entry in self._files[name]]
            if name == "train":
                self._standardisation = _standardisation([channels for channels, _ in recordings])
            self._loaded[name] = self._windows(name, recordings)
        return self._loaded[name]

    def _windows(self, name: SplitName, recordings: list[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> _Loaded:
        assert self._standardisation is not None
        mean, deviation = self._standardisation
        x, y, recording, start = [], [], [], []
        for index, (channels, position_m) in enumerate(recordings):
            first = self._window_starts(position_m)
            samples = first[:, None] + np.arange(self.windowing.window)
            x.append(((channels - mean) / deviation).astype(np.float32)[samples])
            y.append((position_m[first + self.windowing.window - 1] - position_m[first]).astype(np.float32))
            recording.append(np.full(len(first), index, dtype=np.int32))
            start.append(first.astype(np.int32))
        if not sum(map(len, start)):
            raise DataError(
                f"{self.root}: split {name} has not one whole window of {self.windowing.window} samples",
                hint="record longer, choose a smaller window, or raise max_speed_m_s if the tracker did not jump",
            )
        windows = Split(*(np.concatenate(part) for part in (x, y, recording, start)))
        return _Loaded(windows, tuple(position_m for _, position_m in recordings))

    def _window_starts(self, position_m: NDArray[np.float64]) -> NDArray[np.int64]:
        """First samples of the windows of a recording, without those over a jump of the tracker."""
        count = max(0, (len(position_m) - self.windowing.window) // self.windowing.stride + 1)
        first = self.windowing.stride * np.arange(count)
        step_m = np.linalg.norm(np.diff(position_m, axis=0), axis=1)
        jumps = np.concatenate([[0], np.cumsum(step_m * self.windowing.rate_hz > self.max_speed_m_s)])
        kept: NDArray[np.int64] = first[jumps[first + self.windowing.window - 1] == jumps[first]]
        return kept


def _channels(files: RecordingFiles) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Input channels [n, 10] in raw units and horizontal position [n, 2] in metres of a recording."""
    recording: Recording = read_recording(files)
    acceleration_g = recording.gravity_g + recording.user_acceleration_g
    channels = np.hstack(
        [
            acceleration_g,
            recording.rotation_rate_rad_s,
            recording.magnetic_field_ut,
            step_indicator(acceleration_g)[:, None],
        ]
    )
    return channels, recording.position_m[:, :2].copy()


def _standardisation(channels: list[NDArray[np.float64]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each sensor channel over all samples; identity for the step indicator."""
    samples = np.concatenate([part[:, :_SENSOR_CHANNELS] for part in channels])
    mean, deviation = np.zeros(len(CHANNELS)), np.ones(len(CHANNELS))
    mean[:_SENSOR_CHANNELS] = samples.mean(axis=0)
    spread = samples.std(axis=0)
    # A constant channel carries nothing; dividing by its rounding noise would invent something.
    deviation[:_SENSOR_CHANNELS] = np.where(spread > 1e-9, spread, 1.0)
    return mean, deviation


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise DataError(f"{path}: cannot be read: {exc}") from exc
