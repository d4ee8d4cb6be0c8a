"""Finds meters by name: those of installed packages (entry points), and the built-in ones in any checkout."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Final, cast

from crest.errors import MeterError, StudyError
from crest.meters.base import Meter

ENTRY_POINT_GROUP: Final = "crest.meters"
_BUILT_IN: Final = {
    "csv": "crest.meters.csv_meter:CsvMeter",
    "simulated": "crest.meters.simulated:SimulatedMeter",
}


def _found() -> dict[str, EntryPoint]:
    built_in = {name: EntryPoint(name, value, ENTRY_POINT_GROUP) for name, value in _BUILT_IN.items()}
    return {**{point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}, **built_in}


def meter_names() -> list[str]:
    """Names of all meters that are installed, sorted."""
    return sorted(_found())


def load_meter(name: str) -> Callable[..., Meter]:
    """What makes a meter of that name; its arguments are its own.

    Raises:
        StudyError: no meter of that name; the hint lists those that exist.
        MeterError: its package is broken.
    """
    found = _found()
    if name not in found:
        close = difflib.get_close_matches(name, found, n=1)
        raise StudyError(
            f"unknown meter {name!r}" + (f"; did you mean {close[0]!r}?" if close else ""),
            hint=f"meters: {', '.join(sorted(found))}",
        )
    try:
        return cast(Callable[..., Meter], found[name].load())
    except (ImportError, AttributeError) as exc:
        raise MeterError(
            f"meter {name!r} ({found[name].value}) cannot be loaded: {exc}", hint="reinstall the package it comes from"
        ) from exc
