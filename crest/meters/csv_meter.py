"""A meter whose recordings come from a file: what Power Profiler, Joulescope and Otii export, and tables by hand.

The header names each column and its unit, as ``time_s``, ``Timestamp(ms)`` or ``Current (uA)``:

- a time;
- a power, or a current with a voltage or with the supply's volts given;
- optionally a trigger (``trigger``, ``mark``, ``D0-D7``): windows are where it is not zero.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from crest.errors import MeterError
from crest.measurement import Boundary
from crest.meters.recording import Mark, Recording

_UNITS: Final[dict[str, dict[str, float]]] = {
    "time": {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9},
    "power": {"w": 1e6, "mw": 1e3, "uw": 1.0, "nw": 1e-3},
    "current": {"a": 1e6, "ma": 1e3, "ua": 1.0, "na": 1e-3},
    "voltage": {"v": 1.0, "mv": 1e-3},
}
_WORDS: Final = {"timestamp": "time", "volt": "voltage", "volts": "voltage"}
_HEADING: Final = re.compile(r"^#?\s*(?P<word>[a-z]+)[\s_]*[\[(]?\s*(?P<unit>[a-zµμ]*)\s*[\])]?$")
_TRIGGER: Final = re.compile(r"^#?\s*(trigger|marks?|gpio|d\d.*)$")
_HINT: Final = "columns: time_s, then power_uw, or current_ua and voltage_v; ms, us, mW, mA, nA, mV are known, too"


class CsvMeter:
    """Hands over the recording of a file, each time that it is armed.

    Args:
        path: the file.
        boundary: what was measured.
        supply_volt: needed where the file holds a current and no voltage.
    """

    def __init__(self, path: Path, boundary: Boundary = "mcu_rail", supply_volt: float | None = None) -> None:
        self.identity = str(path)
        self.boundary: Boundary = boundary
        self.supply_volt = supply_volt
        self.sample_rate_hz: float | None = None
        self.resolution_uw: float | None = None
        self._path = path
        self._armed = False

    def arm(self) -> None:
        """Nothing begins: the file is there."""
        self._armed = True

    def collect(self) -> Recording:
        """Read the file."""
        if not self._armed:
            raise MeterError(f"{self._path}: the meter was not armed")
        self._armed = False
        return read_recording(self._path, self.supply_volt)

    def close(self) -> None:
        """Nothing to release."""


def read_recording(path: Path, supply_volt: float | None = None) -> Recording:
    """Read a recording from a CSV file.

    Raises:
        MeterError: no such file, columns that are absent or whose unit is not known, or a cell that is no number.
    """
    columns = _columns(path)
    table = _numbers(path, [place for place, _ in columns.values()])
    found = {kind: table[:, n] * scale for n, (kind, (_, scale)) in enumerate(columns.items())}
    time_s = found["time"]
    marks = _marks(time_s, found["trigger"] != 0) if "trigger" in found else ()
    if "power" in found:
        return Recording(time_s, found["power"], marks, str(path))
    volt = found.get("voltage", supply_volt)
    if volt is None:
        raise MeterError(f"{path}: a current, and no voltage", hint="give the supply's volts, or a column voltage_v")
    return Recording(time_s, found["current"] * volt, marks, str(path))


def _columns(path: Path) -> dict[str, tuple[int, float]]:
    """Place and scale of each kind of column."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            headings = next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError) as exc:
        raise MeterError(f"{path}: cannot be read: {exc}") from exc
    columns: dict[str, tuple[int, float]] = {}
    for place, heading in enumerate(headings):
        kind, scale = _kind(path, heading)
        if kind is None:
            continue
        if kind in columns:
            raise MeterError(f"{path}: two columns of {kind}", hint="leave the one out that is not meant")
        columns[kind] = (place, scale)
    if "time" not in columns or not {"power", "current"} & columns.keys():
        raise MeterError(f"{path}: line 1: no column of time, or none of power or current", hint=_HINT)
    return columns


def _kind(path: Path, heading: str) -> tuple[str | None, float]:
    text = heading.strip().lower()
    if _TRIGGER.match(text):
        return "trigger", 1.0
    match = _HEADING.match(text)
    if match is None:
        return None, 1.0
    kind = _WORDS.get(match["word"], match["word"])
    if kind not in _UNITS:
        return None, 1.0
    unit = match["unit"].replace("µ", "u").replace("μ", "u")
    if unit not in _UNITS[kind]:
        told = f"unit {unit!r} is not known" if unit else "no unit"
        raise MeterError(f"{path}: line 1: column {heading.strip()!r}: {told}", hint=_HINT)
    return kind, _UNITS[kind][unit]


def _numbers(path: Path, places: list[int]) -> NDArray[np.float64]:
    try:
        table = np.loadtxt(
            path, delimiter=",", skiprows=1, usecols=places, ndmin=2, comments=None, encoding="utf-8-sig"
        )
    except ValueError as exc:
        raise MeterError(f"{path}: {_bad_line(path, places) or exc}", hint="one number in each cell") from exc
    if len(table) < 2:
        raise MeterError(f"{path}: a recording has two samples at least")
    return table


def _bad_line(path: Path, places: list[int]) -> str | None:
    """The first line that is not made of numbers."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.reader(file)
        next(rows, None)
        for row in rows:
            for place in places:
                try:
                    float(row[place])
                except (ValueError, IndexError):
                    cell = repr(row[place]) if place < len(row) else "nothing"
                    return f"line {rows.line_num}, column {place + 1}: {cell} is no number"
    return None


def _marks(time_s: NDArray[np.float64], up: NDArray[np.bool_]) -> tuple[Mark, ...]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], up, [False]]).astype(int)))
    begins, ends = edges[::2], edges[1::2]
    last = len(time_s) - 1
    return tuple(Mark(float(time_s[b]), float(time_s[min(e, last)])) for b, e in zip(begins, ends, strict=True))
