"""Where tests find Renode: the fake one, written as a program, and the real one where it is installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from crest.emulators.renode.program import find_program
from crest.errors import EmulationError

ROOT = Path(__file__).resolve().parents[2]


def write_fake(folder: Path) -> Path:
    """The fake Renode as a program named renode."""
    path = folder / "renode"
    path.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path[:0] = [{str(ROOT)!r}, *{[p for p in sys.path if p]!r}]\n"
        "from tests.emulators.fake_renode import main\nmain()\n"
    )
    path.chmod(0o755)
    return path


def real_renode() -> Path:
    """The installed Renode; the test is skipped where there is none."""
    try:
        return find_program().path
    except EmulationError as error:
        pytest.skip(f"{error.message}; {error.hint}")
