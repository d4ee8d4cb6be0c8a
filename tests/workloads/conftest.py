"""Hand-made and generated data sets in OxIOD's layout."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from workload_recordings import recording_of

from crest.workloads.base import SplitName
from crest.workloads.oxiod import write_recording, write_split_file

WriteRoot = Callable[..., Path]


@pytest.fixture
def write_root(tmp_path: Path) -> WriteRoot:
    """Write tracks by split as one activity and return the root."""

    def write(name: str = "root", activity: str = "any name", **tracks: list[np.ndarray]) -> Path:
        root = tmp_path / name
        splits: tuple[SplitName, ...] = ("train", "valid", "test")
        for number, split in enumerate(splits, start=1):
            entries = []
            for index, track in enumerate(tracks[split], start=1):
                entries.append(f"data{number}/syn/imu{index}.csv")
                write_recording(root / activity, entries[-1], recording_of(track, seed=100 * number + index))
            write_split_file(root / activity, split, entries)
        return root

    return write


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREST_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def oxiod_fixture() -> Path:
    """Real recordings in OxIOD's layout."""
    base = os.environ.get("CREST_DATA")
    data = Path(base) if base else Path(__file__).resolve().parents[3] / "shared" / "data"
    root = data / "imu_oxiod_format_fixture"
    if not root.is_dir():
        pytest.skip(f"{root} is not there; set CREST_DATA to the folder of recordings")
    return root
