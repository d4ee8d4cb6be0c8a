"""Workloads by name, with the options of their entry in a study."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crest.errors import StudyError
from crest.plugins import Plugins
from crest.workloads.base import Workload

_WORKLOADS = Plugins("workload", "crest.workloads", {"odometry": "crest.workloads.odometry:Odometry.from_options"})


def workload_names() -> list[str]:
    """Names that `load_workload` knows, sorted."""
    return _WORKLOADS.names()


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
    factory = _WORKLOADS.load(name)
    if not isinstance(options, Mapping):
        raise StudyError(f"workload.{name}: expected a mapping of options, got {type(options).__name__}")
    workload: Workload = factory(options, folder or Path.cwd())
    return workload
