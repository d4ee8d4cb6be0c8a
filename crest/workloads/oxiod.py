"""OxIOD's on-disk format: recordings of an inertial unit beside the tracked position of the device.

Layout: ``<root>/<activity>/{Train,Valid,Test}.txt`` list ``dataN/syn/imuK.csv``; ``viK.csv`` lies beside each of them.
Neither has a header, both have the same number of rows. Time stamps are imprecise: the row index at 100 Hz is the time.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
from numpy.typing import NDArray

from crest.errors import DataError
from crest.workloads.base import SplitName

RATE_HZ: Final = 100.0
SPLIT_FILES: Final[dict[SplitName, str]] = {"train": "Train.txt", "valid": "Valid.txt", "test": "Test.txt"}

IMU_COLUMNS: Final = 16
TRACK_COLUMNS: Final = 9
_IMU_NAME = re.compile(r"imu(\w+)\.csv")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Recording:
    """What one recording holds, a row every 10 ms.

    Attributes:
        attitude_rad: [n, 3] roll, pitch, yaw as the device estimated them.
        rotation_rate_rad_s: [n, 3] in the device's axes.
        gravity_g: [n, 3] direction of gravity in the device's axes, in G: (0, 0, -1) lying face up.
        user_acceleration_g: [n, 3]; ``gravity_g + user_acceleration_g`` is minus the specific force, in G.
        magnetic_field_ut: [n, 3] in the device's axes, in microtesla.
        position_m: [n, 3] tracked position, world axes, z up.
        orientation_xyzw: [n, 4] tracked orientation as a quaternion, device to world.
    """

    attitude_rad: Floats
    rotation_rate_rad_s: Floats
    gravity_g: Floats
    user_acceleration_g: Floats
    magnetic_field_ut: Floats
    position_m: Floats
    orientation_xyzw: Floats

    def __len__(self) -> int:
        return len(self.position_m)


@dataclass(frozen=True)
class RecordingFiles:
    """Where a recording lies: its name relative to the root, and its two files."""

    name: str
    imu: Path
    track: Path


def list_recordings(root: Path) -> dict[SplitName, tuple[RecordingFiles, ...]]:
    """Read the split files of every activity below ``root``; an activity is any folder with one of the three.

    Raises:
        DataError: no activity, a missing or empty split file, a line that names no recording, or one that is
            listed twice (in one split or across splits).
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder", hint="give the folder that holds OxIOD's activities")
    activities = sorted(
        folder
        for folder in root.iterdir()
        if folder.is_dir() and any((folder / name).is_file() for name in SPLIT_FILES.values())
    )
    if not activities:
        raise DataError(
            f"{root}: no activity found", hint="an activity is a folder that holds Train.txt, Valid.txt and Test.txt"
        )
    listed_at: dict[str, str] = {}
    return {
        split: tuple(
            files for activity in activities for files in _read_split_file(activity / file_name, root, listed_at)
        )
        for split, file_name in SPLIT_FILES.items()
    }


def _read_split_file(path: Path, root: Path, listed_at: dict[str, str]) -> Iterator[RecordingFiles]:
    """Yield what a split file lists; ``listed_at`` remembers across files where each recording was named."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise DataError(
            f"{path}: no such file", hint="every activity needs Train.txt, Valid.txt and Test.txt"
        ) from None
    except (OSError, UnicodeDecodeError) as exc:
        raise DataError(f"{path}: cannot be read: {exc}") from exc
    entries = [(number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip()]
    if not entries:
        raise DataError(f"{path}: lists no recording", hint="a line is a path such as data1/syn/imu1.csv")
    for number, entry in entries:
        place = f"{path}:{number}"
        files = _locate(entry, path.parent, root, place)
        if files.name in listed_at:
            raise DataError(
                f"{place}: {entry!r} is listed before, at {listed_at[files.name]}",
                hint="a recording belongs to one split only, else the test has been trained on",
            )
        listed_at[files.name] = place
        yield files


def _locate(entry: str, activity: Path, root: Path, place: str) -> RecordingFiles:
    relative = PurePosixPath(entry)
    match = _IMU_NAME.fullmatch(relative.name)
    if match is None or relative.is_absolute() or ".." in relative.parts:
        raise DataError(f"{place}: {entry!r} names no recording", hint="a line is a path such as data1/syn/imu1.csv")
    imu = activity / relative
    track = imu.with_name(f"vi{match[1]}.csv")
    for path in (imu, track):
        if not path.is_file():
            raise DataError(f"{place}: lists {entry!r}, but {path} is missing")
    return RecordingFiles(name=imu.relative_to(root).as_posix(), imu=imu, track=track)


def read_recording(files: RecordingFiles) -> Recording:
    """Read one recording.

    Raises:
        DataError: a file that is missing or empty, a line with the wrong number of columns, with something that is
            not a number, or not a finite one; or two files with unequal rows.
    """
    imu = _read_table(files.imu, IMU_COLUMNS)
    track = _read_table(files.track, TRACK_COLUMNS)
    if len(imu) != len(track):
        raise DataError(
            f"{files.imu}: {len(imu)} rows, but {files.track} has {len(track)}",
            hint="both files of a recording hold one row per sample",
        )
    return Recording(
        attitude_rad=imu[:, 1:4],
        rotation_rate_rad_s=imu[:, 4:7],
        gravity_g=imu[:, 7:10],
        user_acceleration_g=imu[:, 10:13],
        magnetic_field_ut=imu[:, 13:16],
        position_m=track[:, 2:5],
        orientation_xyzw=track[:, 5:9],
    )


def _read_table(path: Path, columns: int) -> Floats:
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "loadtxt: input contained no data", UserWarning)
            table: Floats = np.loadtxt(path, delimiter=",", comments=None, ndmin=2, encoding="utf-8")
    except OSError as exc:
        raise DataError(f"{path}: cannot be read: {exc}") from exc
    except ValueError as exc:
        raise _first_problem(path, columns) or DataError(f"{path}: {exc}") from exc
    if table.size == 0:
        raise DataError(f"{path}: is empty")
    if table.shape[1] != columns or not np.isfinite(table).all():
        raise _first_problem(path, columns) or DataError(f"{path}: not a table of {columns} finite columns")
    return table


def _first_problem(path: Path, columns: int) -> DataError | None:
    """Read again, line by line, to name the line that the fast reader refused."""
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            fields = line.strip().split(",")
            if fields == [""]:
                continue
            if len(fields) != columns:
                return DataError(
                    f"{path}:{number}: {len(fields)} columns, expected {columns}",
                    hint="OxIOD's imu files have 16 columns, its vi files 9, and no header",
                )
            for column, text in enumerate(fields, start=1):
                try:
                    value = float(text)
                except ValueError:
                    return DataError(f"{path}:{number}: column {column}: {text!r} is not a number")
                if not math.isfinite(value):
                    return DataError(f"{path}:{number}: column {column}: {text.strip()} is not a finite number")
    return None


def write_recording(activity: Path, entry: str, recording: Recording) -> None:
    """Write both files of a recording; ``entry`` is its line in the split file, such as ``data1/syn/imu1.csv``."""
    place = f"{activity}: write_recording"
    match = _IMU_NAME.fullmatch(PurePosixPath(entry).name)
    if match is None:
        raise DataError(f"{place}: {entry!r} names no recording", hint="it ends in imu<number>.csv")
    imu_path = activity / entry
    imu_path.parent.mkdir(parents=True, exist_ok=True)
    index = np.arange(len(recording), dtype=np.float64)[:, None]
    time_s = index / RATE_HZ
    imu = np.hstack(
        [
            time_s,
            recording.attitude_rad,
            recording.rotation_rate_rad_s,
            recording.gravity_g,
            recording.user_acceleration_g,
            recording.magnetic_field_ut,
        ]
    )
    track = np.hstack([time_s, index, recording.position_m, recording.orientation_xyzw])
    np.savetxt(imu_path, imu, fmt="%.6f", delimiter=",")
    np.savetxt(imu_path.with_name(f"vi{match[1]}.csv"), track, fmt=["%.6f", "%d"] + ["%.6f"] * 7, delimiter=",")


def write_split_file(activity: Path, split: SplitName, entries: Iterable[str]) -> None:
    """Write the list of an activity's recordings that belong to a split."""
    activity.mkdir(parents=True, exist_ok=True)
    (activity / SPLIT_FILES[split]).write_text("".join(f"{entry}\n" for entry in entries), encoding="utf-8")
