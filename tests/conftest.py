"""What all tests share: thread pins, and where recordings lie."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(name, "1")

ROOT = Path(__file__).resolve().parents[1]


def pytest_report_header() -> str:
    from tests.kernels.registry import SEED, SEED_VARIABLE  # behind the pins, which numpy reads

    return f"generated layers: {SEED_VARIABLE}={SEED} (set it to have the same ones again)"


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Recordings and silicon measurements, outside of the project."""
    folder = Path(os.environ.get("CREST_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no recordings at {folder}; set CREST_DATA")
    return folder
