"""Published silicon cycles beside what the same kernels execute, as counts of an execution profile."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from crest.count_names import DERIVED_COUNTS, INSTRUCTION_CLASSES
from crest.timing.fitting import Rows
from crest.timing.model import load_core_timing

Counts = dict[str, int]
# Columns of the profiles that have another name in an execution profile; the sums are of what it does not tell apart.
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "instructions": ("instr",),
    **{name: (f"i_{name}",) for name in INSTRUCTION_CLASSES if name != "sys"},
    **{name: (name,) for name in ("ldm_words", "stm_words", "ld_first", "ld_pipe", "ld_after_st")},
    "ld_use": ("ld_use",),
    "branch_taken": ("br_taken",),
    "branch_not_taken": ("br_not_taken",),
    "taken_to_unaligned": ("taken_tgt_unal",),
    "unaligned_ram": ("UA_H", "UA_W1", "UA_W2"),
    "load_flash": ("D_FL_B", "D_FL_H", "D_FL_W"),
    "fetch_lines_sequential": ("I_LINE_SEQ",),
    "fetch_lines_branch": ("I_LINE_BR",),
    "fetch_misses_sequential": ("I_MISS_SEQ",),
    "fetch_misses_branch": ("I_MISS_BR",),
    "flash_load_line_changes": ("D_LINE_CHG",),
    "flash_load_misses": ("D_MISS",),
    "flash_load_misses_sequential": ("D_MISS_SEQ",),
}
assert set(_COLUMNS) >= set(INSTRUCTION_CLASSES) - {"sys"}
assert {"ld_use", "branch_taken"} <= set(DERIVED_COUNTS)


def silicon_folder() -> Path:
    """Published measurements, outside of the project; leaves with a message where they are not."""
    base = os.environ.get("CREST_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(base) / "silicon"
    if not folder.is_dir():
        raise SystemExit(f"no silicon measurements at {folder}; set CREST_DATA")
    return folder


def table(name: str) -> list[dict[str, str]]:
    """Rows of a CSV of that folder."""
    with (silicon_folder() / name).open(newline="") as file:
        return list(csv.DictReader(file))


def counts_of(row: Mapping[str, str]) -> Counts:
    """The counts of a profiled program."""
    return {name: sum(int(float(row[c] or 0)) for c in columns) for name, columns in _COLUMNS.items()}


def by_half_lines(counts: Counts) -> Counts:
    """Counts of 128-bit lines as those of a flash that delivers 64 bits at once.

    A line that follows one that is cached belongs to a stream and is read whole, in two reads; any other in one.
    """
    return {
        **counts,
        "flash_load_misses": counts["flash_load_misses"] + counts["flash_load_misses_sequential"],
        "fetch_misses_sequential": 2 * counts["fetch_misses_sequential"],
    }


def kind_of(row: Mapping[str, str]) -> str:
    """Operator, with the shape of its filter."""
    if row["op"] != "CONV_2D":
        return row["op"]
    height, width = (int(float(row[name])) for name in ("k_h", "k_w"))
    return "conv 1xW" if height == 1 and width > 1 else f"conv {height}x{width}"


def single_layers(terms: tuple[str, ...]) -> tuple[Rows, list[Counts]]:
    """The layers of the STM32F446 whose kernels were executed again, and their counts."""
    rows = [row for row in table("profiles/open_f446.csv") if float(row["op_cycles"] or 0) > 0]
    counts = [counts_of(row) for row in rows]
    core = load_core_timing("cortex-m4")
    return (
        Rows(
            counts=np.array([[one[name] for name in terms] for one in counts], float),
            core_cycles=np.array([core.cycles(one) for one in counts]),
            measured_cycles=np.array([float(row["op_cycles"]) for row in rows]),
            kinds=np.array([kind_of(row) for row in rows]),
        ),
        counts,
    )
