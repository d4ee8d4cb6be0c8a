"""Finds meters by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

from crest.errors import MeterError
from crest.meters.base import Meter
from crest.plugins import Plugins

_BUILT_IN: Final = {
    "csv": "crest.meters.csv_meter:CsvMeter",
    "simulated": "crest.meters.simulated:SimulatedMeter",
}
_METERS: Final = Plugins("meter", "crest.meters", _BUILT_IN, MeterError)


def meter_names() -> list[str]:
    """Names of all meters that are installed, sorted."""
    return _METERS.names()


def load_meter(name: str) -> Callable[..., Meter]:
    """What makes a meter of that name; its arguments are its own.

    Raises:
        StudyError: no meter of that name; the hint lists those that exist.
        MeterError: its package is broken.
    """
    return cast(Callable[..., Meter], _METERS.load(name))
