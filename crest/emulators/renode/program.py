"""Finds the program `renode` and asks its version; nothing is ever downloaded."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from crest.errors import EmulationError

ENVIRONMENT_VARIABLE: Final = "CREST_RENODE"
OLDEST: Final = (1, 16, 0)  # the first whose cycle counter (DWT) counts
_VERSION: Final = re.compile(r"Renode\D*v?(\d+)\.(\d+)\.(\d+)(?:\.(\d+))?")
_VERSION_TIMEOUT_S: Final = 60.0
_INSTALL_HINT: Final = (
    "install Renode (https://renode.io), or run `crest setup renode`; then put it on the PATH or name it in "
    f"{ENVIRONMENT_VARIABLE}"
)


@dataclass(frozen=True)
class Program:
    """An installed Renode; ``version`` is release and build, for example 1.16.1.10190."""

    path: Path
    version: str


def find_program(option: str | Path | None = None) -> Program:
    """Look for Renode: the given path, $CREST_RENODE, PATH, and what renode-run has installed; the first wins.

    Args:
        option: the program, or the folder that holds it.

    Raises:
        EmulationError: there is none (the hint lists where it was looked for), it does not answer, or it is too old.
    """
    looked: list[str] = []
    for where, candidate in _candidates(option):
        path = candidate / "renode" if candidate is not None and candidate.is_dir() else candidate
        if path is not None and path.is_file() and os.access(path, os.X_OK):
            return Program(path.resolve(), _version(path))
        looked.append(where)
        if where.startswith(("option", ENVIRONMENT_VARIABLE)):  # what the user names is not silently replaced
            break
    raise EmulationError("Renode was not found", hint=f"looked for it in: {'; '.join(looked)}. {_INSTALL_HINT}")


def _candidates(option: str | Path | None) -> Iterator[tuple[str, Path | None]]:
    if option is not None:
        yield f"option {option}", Path(option).expanduser()
    if named := os.environ.get(ENVIRONMENT_VARIABLE):
        yield f"{ENVIRONMENT_VARIABLE}={named}", Path(named).expanduser()
    found = shutil.which("renode")
    yield "PATH", Path(found) if found else None
    folder = renode_run_folder()
    for installed in _installed_by_renode_run(folder):
        yield str(installed), installed
    yield f"renode-run's {folder}", None


def renode_run_folder() -> Path:
    """Where renode-run keeps its configuration and what it installs."""
    return Path.home() / ".config" / "renode"


def _installed_by_renode_run(folder: Path) -> list[Path]:
    """Folders of installations, the default first; the configuration has changed its layout more than once."""
    found: list[Path] = []
    try:
        config = json.loads((folder / "renode-run.json").read_bytes())
    except (OSError, ValueError):
        config = None
    if isinstance(config, dict):
        found += _folders_in(config.get("default"))
        found += [Path(name) for name in _mapping(config.get("installations"))]
    with contextlib.suppress(OSError, ValueError):
        found.append(Path((folder / "renode-run.path").read_text().strip()))
    found += sorted((path.parent for path in (folder / "renode-run.download").glob("**/renode")), reverse=True)
    return [path for path in dict.fromkeys(found) if path.is_dir()]


def _folders_in(default: Any) -> list[Path]:
    if isinstance(default, str):
        return [Path(default)]
    return [Path(value) for value in _mapping(default).values() if isinstance(value, str)]


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def private_environment(folder: Path) -> dict[str, str]:
    """An environment whose HOME and TMPDIR lie in ``folder``.

    Renode deletes every `renode-*` in its TMPDIR whose suffix is no living process, and writes into HOME.
    """
    private = {"HOME": folder / "home", "TMPDIR": folder / "tmp", "XDG_CONFIG_HOME": folder / "home" / ".config"}
    for path in private.values():
        path.mkdir(parents=True, exist_ok=True)
    return {**os.environ, **{name: str(path) for name, path in private.items()}}


def _version(path: Path) -> str:
    with tempfile.TemporaryDirectory(prefix="crest-engine-") as name:
        try:
            done = subprocess.run(
                [str(path), "--version"],
                env=private_environment(Path(name)),
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_VERSION_TIMEOUT_S,
                stdin=subprocess.DEVNULL,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise EmulationError(f"{path} does not tell its version: {exc}", hint=_INSTALL_HINT) from exc
    match = _VERSION.search(done.stdout)
    if match is None:
        said = (done.stdout or done.stderr).strip()[:200]
        raise EmulationError(f"{path} does not tell its version, but: {said!r}", hint="is it Renode?")
    numbers = tuple(int(part) for part in match.groups() if part is not None)
    version = ".".join(str(part) for part in numbers)
    if numbers[:3] < OLDEST:
        oldest = ".".join(str(part) for part in OLDEST)
        raise EmulationError(f"{path} is Renode {version}; CREST needs {oldest} or later", hint=_INSTALL_HINT)
    return version
