"""Workloads by name: those that ship, and those that other packages add through the entry point group."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from crest.errors import StudyError
from crest.workloads.base import Workload

ENTRY_POINT_GROUP = "crest.workloads"

_BUILT_IN = {"odometry": "crest.workloads.odometry:Odometry.from_options"}


def _available() -> dict[str, EntryPoint]:
    """Loaders by name, called with the options and the folder of relative paths; what ships cannot be replaced."""
    found = {entry.name: entry for entry in entry_points(group=ENTRY_POINT_GROUP)}
    return found | {name: EntryPoint(name, value, ENTRY_POINT_GROUP) for name, value in _BUILT_IN.items()}


def workload_names() -> list[str]:
    """Names that `load_workload` knows, sorted."""
    return sorted(_available())


def load_workload(spec: Mapping[str, Any], folder: Path | None = None) -> Workload:
    """Build a workload from its entry in a study, for example ``{"odometry": {"source": "generated"}}``.

    Args:
        spec: one name with its options.
        folder: where relative paths among the options start; the working directory by default.

    Raises:
        StudyError: not exactly one name, an unknown name, or options that do not fit.
        DataError: its data are missing or broken.
    """
    if not isinstance(spec, Mapping) or len(spec) != 1:
        raise StudyError(
            "workload: expected one name with its options",
            hint="for example  workload: {odometry: {source: generated}}",
        )
    ((name, options),) = spec.items()
    available = _available()
    if name not in available:
        close = difflib.get_close_matches(str(name), available, n=1)
        raise StudyError(
            f"workload: unknown workload {name!r}" + (f"; did you mean {close[0]!r}?" if close else ""),
            hint=f"workloads: {', '.join(sorted(available))}",
        )
    if not isinstance(options, Mapping):
        raise StudyError(f"workload.{name}: expected a mapping of options, got {type(options).__name__}")
    entry = available[name]
    try:
        factory = entry.load()
    except (ImportError, AttributeError) as exc:
        raise StudyError(f"workload.{name}: {entry.value} cannot be loaded: {exc}") from exc
    workload: Workload = factory(options, folder or Path.cwd())
    return workload
