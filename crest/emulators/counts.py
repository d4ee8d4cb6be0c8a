"""Folds counted edges and analysed blocks into an execution profile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from crest.count_names import EVENT_COUNTS
from crest.emulators.blocks import COLUMN, COUNT_NAMES, Block, load_column
from crest.emulators.issue_counts import IssueCounts
from crest.emulators.pairing import DualIssueBlock
from crest.emulators.profile import ExecutionProfile, LayerProfile

# An entry of a native table (slot_t).
SLOT: Final = np.dtype([("key", "<u8"), ("sizes", "<u8"), ("count", "<u8")])

BlockAt = Callable[[int, int], Block]
Counts = NDArray[np.int64]


def fold_edges(table: NDArray[np.void], block_at: BlockAt) -> dict[int, dict[str, int]]:
    """Sum a table of edges by row (0: overhead, i + 1: layer i).

    Args:
        table: edges [n] of dtype ``SLOT``; free slots have count 0.
        block_at: analysis of the block at (address, size in bytes).

    Returns:
        Non-zero counts by name, by row. An edge counts its destination block, and the branch that led there.
    """
    used = table[table["count"] > 0]
    sums: dict[int, Counts] = {}
    issued = IssueCounts()
    for key, sizes, count in zip(used["key"].tolist(), used["sizes"].tolist(), used["count"].tolist(), strict=True):
        row, source_size, size = sizes >> 48, sizes >> 24 & 0xFFFFFF, sizes & 0xFFFFFF
        source, address = key >> 32, key & 0xFFFFFFFF
        total = sums.setdefault(row, np.zeros(len(COUNT_NAMES), np.int64))
        block = block_at(address, size)
        total += block.counts * count
        # What is known of the way here: the block before, unless the window opened here; and no branch if they touch.
        before = block_at(source, source_size) if source_size else None
        adjacent = before if source + source_size == address else None
        for name in edge_counts(before, adjacent, block, address):
            total[COLUMN[name]] += count
        if isinstance(block, DualIssueBlock):
            behind = before if isinstance(before, DualIssueBlock) else None
            issued.add(row, source, behind, block, taken=adjacent is None, count=count)
    for row, counts in issued.by_row():
        for name, number in counts.items():
            sums[row][COLUMN[name]] += number
    return {row: named_counts(total) for row, total in sums.items()}


def edge_counts(before: Block | None, adjacent: Block | None, block: Block, address: int) -> Iterator[str]:
    """Names of what an edge counts once each time it is passed; ``adjacent``: ``before``, where the two touch."""
    if before is not None and adjacent is None:
        yield "branch_taken"
        if address & 3:
            yield "taken_to_unaligned"
    if adjacent is not None and adjacent.ends_conditionally:
        yield "branch_not_taken"
    if block.begins_with_load:
        # A basic block cut at a page edge goes on here, so what stands before the load is in the block before.
        yield load_column("none" if adjacent is None else adjacent.ends_with)


def named_counts(total: Counts) -> dict[str, int]:
    """Non-zero counts by name."""
    return {name: int(number) for name, number in zip(COUNT_NAMES, total.tolist(), strict=True) if number}


def name_accesses(table: NDArray[np.uint64], regions: tuple[str, ...]) -> dict[int, dict[str, int]]:
    """Name the accesses of a native table [rows, regions, (loads, stores, unaligned)] by row and region."""
    named: dict[int, dict[str, int]] = {}
    for row, region, kind in zip(*(axis.tolist() for axis in np.nonzero(table)), strict=True):
        name = f"{('load', 'store', 'unaligned')[kind]}_{regions[region]}"
        named.setdefault(row, {})[name] = int(table[row, region, kind])
    return named


def name_events(table: NDArray[np.uint64]) -> dict[int, dict[str, int]]:
    """Name the events of a native table [rows, ``EVENT_COUNTS``] by row."""
    names = tuple(EVENT_COUNTS)
    named: dict[int, dict[str, int]] = {}
    for row, column in zip(*(axis.tolist() for axis in np.nonzero(table)), strict=True):
        named.setdefault(row, {})[names[column]] = int(table[row, column])
    return named


def build_profile(engine: str, core: str, parts: Sequence[Mapping[int, dict[str, int]]]) -> ExecutionProfile:
    """Join counts by row; no two parts count the same."""
    joined: dict[int, dict[str, int]] = {0: {}}
    for part in parts:
        for row, counts in part.items():
            joined.setdefault(row, {}).update(counts)
    overhead = joined.pop(0)
    return ExecutionProfile(
        engine=engine,
        core=core,
        overhead=overhead,
        layers=tuple(LayerProfile(index=row - 1, counts=joined[row]) for row in sorted(joined)),
    )
