"""Installs Renode by its own installer, renode-run, when somebody asks for it; nothing else in CREST downloads it."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from crest.emulators.renode.program import Program, find_program, renode_run_folder
from crest.errors import EmulationError, MissingExtraError

_RENODE_RUN: Final = "renode-run"
_INSTALL_RENODE_RUN: Final = "pip3 install --upgrade --user git+https://github.com/antmicro/renode-run"


@dataclass(frozen=True)
class Installation:
    """What will be run, and where it puts what it downloads."""

    command: tuple[str, ...]
    folder: Path


def plan_installation(version: str = "latest") -> Installation:
    """What ``renode-run`` would be asked to do; nothing is done yet.

    Args:
        version: ``latest``, or a version as renode-run knows it.

    Raises:
        MissingExtraError: renode-run is not installed.
    """
    found = shutil.which(_RENODE_RUN)
    if found is None:
        raise MissingExtraError(
            f"{_RENODE_RUN}, the installer of Renode, is not on the PATH",
            hint=f"install it ({_INSTALL_RENODE_RUN}), or install Renode yourself: https://renode.io",
        )
    return Installation((found, "download", version), renode_run_folder() / "renode-run.download")


def install(plan: Installation) -> Program:
    """Run renode-run, which prints what it does; returns what is found then.

    Raises:
        EmulationError: it fails, or Renode is not found behind it.
    """
    try:
        code = subprocess.run(plan.command, stdin=subprocess.DEVNULL, check=False).returncode
    except OSError as exc:
        raise EmulationError(f"{_RENODE_RUN} cannot be run: {exc}") from exc
    if code != 0:
        raise EmulationError(f"`{' '.join(plan.command)}` ended with code {code}", hint="its own output says why")
    return find_program()
