"""Units in the names of keys: a key in another unit of the same quantity is told what to write instead."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Final

# Ending of a name -> the base unit of its quantity, and how many of them one is.
_UNITS: Final[dict[str, tuple[str, float]]] = {
    "h": ("s", 3600.0), "min": ("s", 60.0), "s": ("s", 1.0), "ms": ("s", 1e-3), "us": ("s", 1e-6), "ns": ("s", 1e-9),
    "w": ("w", 1.0), "mw": ("w", 1e-3), "uw": ("w", 1e-6), "nw": ("w", 1e-9),
    "j": ("j", 1.0), "mj": ("j", 1e-3), "uj": ("j", 1e-6), "nj": ("j", 1e-9), "pj": ("j", 1e-12),
    "hz": ("hz", 1.0), "khz": ("hz", 1e3), "mhz": ("hz", 1e6), "ghz": ("hz", 1e9),
    "a": ("a", 1.0), "ma": ("a", 1e-3), "ua": ("a", 1e-6), "na": ("a", 1e-9),
    "ah": ("ah", 1.0), "mah": ("ah", 1e-3), "uah": ("ah", 1e-6),
    "v": ("v", 1.0), "mv": ("v", 1e-3), "volt": ("v", 1.0),
    "pct": ("share", 1e-2), "share": ("share", 1.0),
    "bytes": ("bytes", 1.0), "kib": ("bytes", 1024.0), "mib": ("bytes", 1024.0**2),
}  # fmt: skip


def same_quantity(key: str, names: Iterable[str]) -> str | None:
    """The name that means the same quantity as ``key``, in the unit that is taken; None where there is none."""
    stem, unit = _split(key)
    for name in names:
        its_stem, its_unit = _split(name)
        if name == key or its_unit is None or its_stem != stem:
            continue
        if unit is None or _UNITS[unit][0] == _UNITS[its_unit][0]:
            return name
    return None


def other_quantity(key: str, name: str) -> bool:
    """Whether both have a unit, and not of the same quantity."""
    unit, its_unit = _split(key)[1], _split(name)[1]
    return unit is not None and its_unit is not None and _UNITS[unit][0] != _UNITS[its_unit][0]


def converted(key: str, value: Any, name: str) -> str | None:
    """What to write for a value of ``key`` under ``name``, for example ``period_ms: 200``; None where nothing can."""
    unit, its_unit = _split(key)[1], _split(name)[1]
    if unit is None or its_unit is None:
        return None
    values = value if isinstance(value, list) else [value]
    numbers = [_times(item, _UNITS[unit][1] / _UNITS[its_unit][1]) for item in values]
    if not numbers or any(number is None or (its_unit == "bytes" and number % 1) for number in numbers):
        return None
    texts = [f"{number:.12g}" for number in numbers]
    return f"{name}: [{', '.join(texts)}]" if isinstance(value, list) else f"{name}: {texts[0]}"


def _times(value: Any, factor: float) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = value * factor
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _split(name: str) -> tuple[str, str | None]:
    stem, _, unit = name.rpartition("_")
    return (stem, unit.lower()) if stem and unit.lower() in _UNITS else (name, None)
