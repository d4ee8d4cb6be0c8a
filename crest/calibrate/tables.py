"""Measured rows as a CSV table: what was measured elsewhere comes in, and every calibration's rows go out.

A line is one program at one clock. ``count.<name>`` are counts of an execution profile over one repetition,
``macs.<operator>`` the multiply-accumulates of a network; empty cells are zero.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from crest.calibrate.rows import UNITS_HINT, PowerRow, ProbeRun
from crest.count_names import is_count
from crest.errors import CalibrationError
from crest.targets import Target

_RUN: Final = ("name", "group", "clock_mhz", "fetch_region", "run_ms", "sleep", "sleep_ms", "wake_ups")
_POWER: Final = ("energy_uj", "spread", "windows")
_NEEDED: Final = ("name", "group", "clock_mhz", "fetch_region", "run_ms", "energy_uj")
_WITH_UNITS: Final = ("run_ms", "sleep_ms", "energy_uj")
_COLUMNS_HINT: Final = "`crest calibrate --template` prints the columns, with a line of each kind"
_COUNT, _MACS = "count.", "macs."
_PREFIXES: Final = {"counts": _COUNT, "macs_by_operator": _MACS}


def rows_csv(rows: Sequence[PowerRow]) -> str:
    """A table of rows, which ``read_rows`` reads again."""
    counts = dict.fromkeys(name for row in rows for name in sorted(row.run.counts))
    operators = dict.fromkeys(name for row in rows for name in sorted(row.run.macs_by_operator))
    text = io.StringIO()
    heads = (*_RUN, *_POWER, *(_COUNT + name for name in counts), *(_MACS + name for name in operators))
    writer = csv.DictWriter(text, heads, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        run = row.run
        cells = {name: getattr(run, name) for name in _RUN} | {name: getattr(row, name) for name in _POWER}
        cells |= {_COUNT + name: run.counts.get(name, 0) for name in counts}
        writer.writerow(cells | {_MACS + name: run.macs_by_operator.get(name, 0) for name in operators})
    return text.getvalue()


def template_csv() -> str:
    """The columns, with a line of each kind."""
    spin = ProbeRun(
        name="spin", group="probe", clock_mhz=64, fetch_region="flash", counts={"instructions": 1_000_000},
        run_ms=20.0, sleep=None,
    )  # fmt: skip
    asleep = spin.model_copy(update={"name": "sleep_40ms", "sleep": "deep_sleep", "sleep_ms": 20.0, "wake_ups": 1})
    net = spin.model_copy(
        update={
            "name": "my-network",
            "group": "network",
            "counts": {"instructions": 800_000, "smlad": 90_000, "load_flash": 110_000},
            "macs_by_operator": {"CONV_2D": 180_000},
        }
    )
    runs = ((spin, 240.0), (asleep, 245.0), (net, 260.0))
    return rows_csv([PowerRow(run=run, energy_uj=energy, spread=0.004, windows=5) for run, energy in runs])


def read_rows(path: Path, target: Target) -> list[PowerRow]:
    """Read a table of measurements of a target.

    Raises:
        CalibrationError: it cannot be read, lacks a column, or a line makes no sense.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.DictReader(file)
            heads = list(lines.fieldnames or ())
            _check_heads(path, heads, target)
            rows = [_row(f"{path}: line {lines.line_num}", line, target) for line in lines]
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
        raise CalibrationError(f"{path}: cannot be read: {exc}") from exc
    if not rows:
        raise CalibrationError(f"{path}: no measurements below the header")
    return rows


def _check_heads(path: Path, heads: Sequence[str], target: Target) -> None:
    missing = [name for name in _NEEDED if name not in heads]
    if missing:
        raise CalibrationError(f"{path}: line 1: no column {', '.join(missing)}", hint=_COLUMNS_HINT)
    twice = [head for head, times in Counter(heads).items() if times > 1]
    if twice:
        raise CalibrationError(f"{path}: line 1: column {twice[0]!r} is given twice", hint=_COLUMNS_HINT)
    regions = [region.name for region in target.regions]
    for head in heads:
        known = head in (*_RUN, *_POWER) or (head.startswith(_MACS) and head != _MACS)
        if not known and not (head.startswith(_COUNT) and is_count(head.removeprefix(_COUNT), regions)):
            raise CalibrationError(f"{path}: line 1: column {head!r} is not known", hint=_COLUMNS_HINT)


def _row(place: str, line: Mapping[str, Any], target: Target) -> PowerRow:
    if None in line or None in line.values():
        raise CalibrationError(f"{place}: {'more' if None in line else 'fewer'} cells than the header has columns")
    cells = {name: text.strip() for name, text in line.items() if text.strip()}
    run: dict[str, Any] = {name: cells[name] for name in _RUN if name in cells}
    run.setdefault("sleep", None)
    for field, prefix in _PREFIXES.items():
        run[field] = {name.removeprefix(prefix): cell for name, cell in cells.items() if name.startswith(prefix)}
    try:
        row = PowerRow.model_validate({"run": run, **{name: cells[name] for name in _POWER if name in cells}})
    except ValidationError as exc:
        first = exc.errors()[0]
        *_, field, column = ("", *map(str, first["loc"]))
        # What no single column is to blame for has the place of the whole run.
        where = place if column == "run" else f"{place}, column {_PREFIXES.get(field, '')}{column}"
        hint = UNITS_HINT if column in _WITH_UNITS else _COLUMNS_HINT
        raise CalibrationError(f"{where}: {first['msg'].removeprefix('Value error, ')}", hint=hint) from exc
    if row.run.clock_mhz not in target.every_clock_mhz:
        raise CalibrationError(f"{place}, column clock_mhz: {target.name} has no clock of {row.run.clock_mhz:g} MHz")
    if row.run.fetch_region not in {region.name for region in target.regions}:
        raise CalibrationError(f"{place}, column fetch_region: no region {row.run.fetch_region!r} on {target.name}")
    return row
