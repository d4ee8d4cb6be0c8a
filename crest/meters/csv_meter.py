"""A meter whose recordings come from a file: what Power Profiler and Joulescope export, and tables by hand.

The header names each column and its unit, as ``time_s``, ``Timestamp(ms)`` or ``Main current (uA)``:

- a time;
- a power, or a current with a voltage or with the supply's volts given;
- optionally trigger lines (``trigger``, ``mark``, ``gpio``, ``D0`` to ``D7``, or ``D0-D7`` with a character for each):
  windows are where the line is up.

Cells are parted by commas, semicolons or tabs.
"""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crest.errors import MeterError
from crest.measurement import Boundary
from crest.meters.base import check_supply
from crest.meters.recording import SAMPLES_MAX, Mark, Recording, check_length, first_bad_sample

Array = NDArray[np.float64]

_UNITS: Final[dict[str, dict[str, float]]] = {
    "time": {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9},
    "power": {"w": 1e6, "mw": 1e3, "uw": 1.0, "nw": 1e-3},
    "current": {"a": 1e6, "ma": 1e3, "ua": 1.0, "na": 1e-3},
    "voltage": {"v": 1.0, "mv": 1e-3},
}
_WORDS: Final = {"timestamp": "time", "volt": "voltage", "volts": "voltage"}
_KINDS: Final = "|".join(sorted((*_UNITS, *_WORDS), key=len, reverse=True))
# Words before it say where: "Main current (A)".
_HEADING: Final = re.compile(rf"^#?\s*(?:[a-z]+[\s_]+)*?(?P<word>{_KINDS})[\s_]*[\[(]?\s*(?P<unit>[a-zµμ]*)\s*[\])]?$")
_LINE: Final = re.compile(r"^#?\s*(?P<line>trigger|marks?|gpio|d\d)$")
_LINES: Final = re.compile(r"^#?\s*d0\s*-\s*d(?P<last>\d)$")
_HINT: Final = "columns: time_s, then power_uw, or current_ua and voltage_v; ms, us, mW, mA, nA, mV are known, too"
# "-" and "X" are no level: the line is not there, or was not sampled.
_LEVELS: Final = frozenset("01-X")
_LEVELS_HINT: Final = "0, 1, - or X for each line; a spreadsheet that saves the file takes leading zeros away"
# Fewer steps than these do not say how evenly a meter samples.
_STEPS_MIN: Final = 10
_EVEN_PART: Final = 0.9
_LOST_STEPS: Final = 1.9


class CsvMeter:
    """Hands over the recording of a file, each time that it is armed.

    Args:
        path: the file.
        boundary: what was measured.
        supply_volt: needed where the file holds a current and no voltage.
        trigger: the trigger line, as its column is called, or ``D0`` to ``D7``; needed where several of them change.
        longest_step_s: between two samples; by default, a step of twice the others' length is a gap where nine in ten
            are alike.

    Raises:
        MeterError: volts, or a longest step, that no recording has.
    """

    def __init__(
        self,
        path: Path,
        boundary: Boundary = "mcu_rail",
        supply_volt: float | None = None,
        *,
        trigger: str | None = None,
        longest_step_s: float | None = None,
    ) -> None:
        check_supply(boundary, supply_volt)
        if longest_step_s is not None and not longest_step_s > 0:
            raise MeterError(f"longest_step_s is {longest_step_s}", hint="a time above 0, in seconds")
        self.identity = str(path)
        self.boundary: Boundary = boundary
        self.supply_volt = supply_volt
        self.sample_rate_hz: float | None = None
        self.resolution_uw: float | None = None
        self._path = path
        self._trigger = trigger
        self._longest_step_s = longest_step_s
        self._armed = False

    def arm(self) -> None:
        """Nothing begins: the file is there."""
        self._armed = True

    def collect(self) -> Recording:
        """Read the file."""
        if not self._armed:
            raise MeterError(f"{self._path}: the meter was not armed")
        self._armed = False
        return read_recording(self._path, self.supply_volt, trigger=self._trigger, longest_step_s=self._longest_step_s)

    def close(self) -> None:
        """Nothing to release."""


def read_recording(
    path: Path, supply_volt: float | None = None, *, trigger: str | None = None, longest_step_s: float | None = None
) -> Recording:
    """Read a recording from a CSV file; the arguments are those of ``CsvMeter``.

    Raises:
        MeterError: no such file, columns that are absent or whose unit is not known, a cell that is no number, a sample
            that makes no sense, a gap, or several trigger lines of which none is named.
    """
    table = _Table(path)
    found = table.quantities()
    time_s = found["time"]
    if "power" in found:
        power_uw = found["power"]
    else:
        volt = found.get("voltage", supply_volt)
        if volt is None:
            raise MeterError(
                f"{path}: a current, and no voltage", hint="give the supply's volts, or a column voltage_v"
            )
        with np.errstate(over="ignore"):
            power_uw = found["current"] * volt
    bad = first_bad_sample(time_s, power_uw)
    if bad is not None:
        raise MeterError(f"{path}: line {table.line_of(bad.sample)}: {bad.text}")
    _check_gaps(table, time_s, longest_step_s)
    up = _trigger_line(path, table.trigger_lines(), trigger)
    return Recording(time_s, power_uw, () if up is None else _marks(time_s, up), str(path))


class _Column(NamedTuple):
    place: int
    scale: float


class _Table:
    """The columns of a file that mean something, and their cells."""

    def __init__(self, path: Path) -> None:
        self.path = path
        headings, self._delimiter = self._headings()
        self._columns: dict[str, _Column] = {}
        self._lines: dict[str, int] = {}
        self._bits: _Column | None = None  # its scale is how many lines it holds
        for place, heading in enumerate(headings):
            self._take(place, heading)
        if "time" not in self._columns or not {"power", "current"} & self._columns.keys():
            raise MeterError(f"{path}: line 1: no column of time, or none of power or current", hint=_HINT)

    def quantities(self) -> dict[str, Array]:
        """Time in s, power and current in uW and uA, and voltage in V, as far as they are there: [samples] each."""
        cells = self._numbers([column.place for column in self._columns.values()])
        with np.errstate(over="ignore"):  # what is infinite then is told by an error
            return {kind: cells[:, n] * column.scale for n, (kind, column) in enumerate(self._columns.items())}

    def trigger_lines(self) -> dict[str, NDArray[np.bool_]]:
        """Where each trigger line is up, [samples], by its name in small letters."""
        lines: dict[str, NDArray[np.bool_]] = {}
        if self._bits is not None:
            each = self._levels(self._bits.place, int(self._bits.scale))
            lines |= {f"d{n}": each[:, n] == "1" for n in range(each.shape[1])}
        if self._lines:
            cells = self._numbers(list(self._lines.values()))
            bad = ~np.isfinite(cells)
            if bad.any():
                sample, n = np.unravel_index(int(np.argmax(bad)), bad.shape)
                where = f"line {self.line_of(int(sample))}, column {list(self._lines.values())[n] + 1}"
                raise MeterError(f"{self.path}: {where}: {cells[sample, n]:g} is no level", hint="0 or 1")
            lines |= {name: cells[:, n] != 0 for n, name in enumerate(self._lines)}
        return lines

    def line_of(self, sample: int) -> int:
        """The line of a sample, counted from 0, in the file."""
        for number, (line, _) in enumerate(self._rows()):
            if number == sample:
                return line
        raise IndexError(sample)

    def _headings(self) -> tuple[list[str], str]:
        with _reading(self.path):
            with self.path.open(newline="", encoding="utf-8-sig") as file:
                first = file.readline()
            delimiter = max(",;\t", key=first.count)
            return next(csv.reader([first], delimiter=delimiter), []), delimiter

    def _take(self, place: int, heading: str) -> None:
        text = heading.strip().lower()
        if match := _LINE.match(text):
            self._keep_once(match["line"], self._lines)
            self._lines[match["line"]] = place
        elif match := _LINES.match(text):
            self._bits = _Column(place, int(match["last"]) + 1)
        elif match := _HEADING.match(text):
            kind = _WORDS.get(match["word"], match["word"])
            unit = match["unit"].replace("µ", "u").replace("μ", "u")
            if unit not in _UNITS[kind]:
                told = f"unit {unit!r} is not known" if unit else "no unit"
                raise MeterError(f"{self.path}: line 1: column {heading.strip()!r}: {told}", hint=_HINT)
            self._keep_once(kind, self._columns)
            self._columns[kind] = _Column(place, _UNITS[kind][unit])

    def _keep_once(self, name: str, taken: dict[str, int] | dict[str, _Column]) -> None:
        if name in taken:
            raise MeterError(f"{self.path}: line 1: two columns of {name}", hint="leave the one out that is not meant")

    def _levels(self, place: int, width: int) -> NDArray[np.str_]:
        """The characters of a column that holds several lines: [samples, width]."""
        try:
            # One more than there should be, or what is too long would be cut and pass.
            texts = self._load(place, f"U{width + 1}", 1)
        except ValueError as exc:
            raise MeterError(f"{self.path}: {self._bad_levels(place, width) or exc}", hint=_LEVELS_HINT) from exc
        each = texts.reshape(-1, 1).view("U1")
        if not (np.isin(each[:, :width], list(_LEVELS)).all() and (each[:, width] == "").all()):
            raise MeterError(f"{self.path}: {self._bad_levels(place, width)}", hint=_LEVELS_HINT)
        return each[:, :width]

    def _bad_levels(self, place: int, width: int) -> str | None:
        """The first cell that does not hold a character for each line."""
        for line, row in self._rows():
            cell = row[place] if place < len(row) else ""
            if len(cell) != width or not set(cell) <= _LEVELS:
                return f"line {line}, column {place + 1}: {cell!r} is not {width} levels"
        return None

    def _load(self, places: int | list[int], dtype: str, ndmin: Literal[1, 2]) -> NDArray[Any]:
        with warnings.catch_warnings():
            # That a file holds no samples is told by an error.
            warnings.simplefilter("ignore", UserWarning)
            return np.loadtxt(
                self.path, dtype=dtype, delimiter=self._delimiter, skiprows=1, usecols=places, ndmin=ndmin,
                comments=None, quotechar='"', encoding="utf-8-sig", max_rows=SAMPLES_MAX + 1,
            )  # fmt: skip

    def _numbers(self, places: list[int]) -> Array:
        try:
            cells: Array = self._load(places, "f8", 2)
        except ValueError as exc:
            raise MeterError(
                f"{self.path}: {self._bad_cell(places) or exc}", hint="one number in each cell, with a decimal point"
            ) from exc
        check_length(len(cells), str(self.path))
        if len(cells) < 2:
            raise MeterError(f"{self.path}: a recording has two samples at least")
        return cells

    def _bad_cell(self, places: list[int]) -> str | None:
        """The first cell that is no number."""
        for line, row in self._rows():
            for place in places:
                try:
                    float(row[place])
                except (ValueError, IndexError):
                    cell = repr(row[place]) if place < len(row) else "nothing"
                    return f"line {line}, column {place + 1}: {cell} is no number"
        return None

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """Number and cells of each line that holds a sample."""
        with _reading(self.path), self.path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file, delimiter=self._delimiter)
            next(rows, None)
            yield from ((rows.line_num, row) for row in rows if row)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as exc:
        raise MeterError(f"{path}: cannot be read: {exc}", hint="save it as UTF-8") from exc
    except (OSError, csv.Error) as exc:
        raise MeterError(f"{path}: cannot be read: {exc}") from exc


def _check_gaps(table: _Table, time_s: Array, longest_step_s: float | None) -> None:
    """Exporters leave lost samples out: a mean across the hole would pass for a measurement."""
    steps = np.diff(time_s)
    usual = float(np.median(steps))
    if longest_step_s is None:
        is_even = len(steps) >= _STEPS_MIN and np.mean(np.abs(steps / usual - 1) < 0.5) >= _EVEN_PART
        longest_step_s = _LOST_STEPS * usual if is_even else np.inf
    late = steps > longest_step_s
    if late.any():
        at = int(np.argmax(late))
        raise MeterError(
            f"{table.path}: line {table.line_of(at + 1)}: {steps[at]:g} s without a sample, after steps of {usual:g} s",
            hint="samples were lost: record again; where the meter samples unevenly, give longest_step_s",
        )


def _trigger_line(path: Path, lines: dict[str, NDArray[np.bool_]], wanted: str | None) -> NDArray[np.bool_] | None:
    """The named line; without a name the only one, or the only one that changes. None where none does."""
    if wanted is not None:
        if wanted.lower() not in lines:
            there = ", ".join(lines) or "none"
            raise MeterError(f"{path}: no trigger line {wanted!r}", hint=f"trigger lines in the file: {there}")
        return lines[wanted.lower()]
    if len(lines) == 1:
        return next(iter(lines.values()))
    changing = [name for name, up in lines.items() if up.any() and not up.all()]
    if len(changing) > 1:
        raise MeterError(f"{path}: several trigger lines change: {', '.join(changing)}", hint="name the one: trigger")
    return lines[changing[0]] if changing else None


def _marks(time_s: Array, up: NDArray[np.bool_]) -> tuple[Mark, ...]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], up, [False]]).astype(int)))
    begins, ends = edges[::2], edges[1::2]
    last = len(time_s) - 1
    pairs = ((float(time_s[b]), float(time_s[min(e, last)])) for b, e in zip(begins, ends, strict=True))
    # A line that goes up with the last sample marks no time.
    return tuple(Mark(begin, end) for begin, end in pairs if begin < end)
