"""Turns counted moves between blocks into instructions and cycles by calling context, function and source line."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from crest.emulators.blocks import COLUMN, COUNT_NAMES, Block, analyse, load_column
from crest.emulators.call_hook import NO_NODE, CallHook
from crest.emulators.counts import Counts, edge_counts, named_counts
from crest.emulators.isa import instruction_bytes
from crest.emulators.issue_counts import IssueCounts
from crest.emulators.pairing import DualIssueBlock
from crest.emulators.profile import ExecutionProfile, LayerProfile
from crest.profiling.lines import Line, LineTable
from crest.targets import Region
from crest.timing import CycleModel

Place = tuple[int, int]
"""A block in a calling context: (node, block)."""
_WINDOW_BEGINS: Final = 0xFFFFFFFFFFFFFFFF
_INSTRUCTIONS: Final = COLUMN["instructions"]


@dataclass(frozen=True)
class Code:
    """Looks at the code that ran: analysis and bytes of the block at (address, size in bytes)."""

    block_at: Callable[[int, int], Block]
    bytes_at: Callable[[int, int], bytes]


def main_region(calls: CallHook, regions: Sequence[Region]) -> str | None:
    """The region that most of the executed instructions lie in; None for none."""
    blocks, edges = calls.blocks(), calls.edges()
    numbers = (edges[:, 1] & np.uint64(0xFFFFFFFF)).astype(np.int64)
    addresses, executed = blocks[numbers, 0], blocks[numbers, 4] * edges[:, 2]
    sums = {r.name: int(executed[(addresses >= r.base) & (addresses < r.end)].sum()) for r in regions}
    return max(sums, key=sums.__getitem__) if any(sums.values()) else None


@dataclass(frozen=True)
class PlaceCosts:
    """What each place cost.

    Attributes:
        counts: by place, int64 [len(COUNT_NAMES)]; a branch counts where it leaves from.
        cycles: by place.
        profile: the same as an execution profile: one layer for each place.
    """

    counts: dict[Place, Counts]
    cycles: dict[Place, float]
    profile: ExecutionProfile


def cost_places(
    calls: CallHook, code: Code, core: str, engine: str, model: CycleModel, spin_address: int | None
) -> PlaceCosts:
    """Fold all moves.

    Args:
        calls: the hook, after the run.
        code: the code that ran.
        core: name of the core.
        engine: name of the engine.
        model: the cycle model of the target.
        spin_address: moves from the block here to itself are left out.
    """
    blocks = [(int(row[0]), int(row[1])) for row in calls.blocks()]
    counts: dict[Place, Counts] = defaultdict(lambda: np.zeros(len(COUNT_NAMES), np.int64))
    issued = IssueCounts()
    for source, goal, count in calls.edges().tolist():
        to = (goal >> 32, goal & 0xFFFFFFFF)
        address, size = blocks[to[1]]
        if source == goal and address == spin_address:
            continue
        block = code.block_at(address, size)
        counts[to] += block.counts * count
        origin = (source >> 32, source & 0xFFFFFFFF)
        before = adjacent = None
        if source != _WINDOW_BEGINS:
            begin, length = blocks[origin[1]]
            before = code.block_at(begin, length)
            adjacent = before if begin + length == address else None
        for name in edge_counts(before, adjacent, block, address):
            counts[to if name.startswith("ld_") else origin][COLUMN[name]] += count
        if isinstance(block, DualIssueBlock):
            behind = before if isinstance(before, DualIssueBlock) else None
            issued.add(goal, source, behind, block, taken=adjacent is None, count=count, branch_row=source)
    if (last := calls.last_move()) is not None:
        place, address = (last[0] >> 32, last[0] & 0xFFFFFFFF), last[1]
        begin, length = blocks[place[1]]
        before = code.block_at(begin, length)
        for name in edge_counts(before, before if begin + length == address else None, before, address):
            counts[place][COLUMN[name]] += not name.startswith("ld_")
    for number, sums in issued.by_row():
        for name, total in sums.items():
            counts[number >> 32, number & 0xFFFFFFFF][COLUMN[name]] += total
    profile = _profile(engine, core, counts)
    return PlaceCosts(dict(counts), dict(zip(counts, model.layer_cycles(profile), strict=True)), profile)


def _profile(engine: str, core: str, counts: Mapping[Place, Counts] | Mapping[int, Counts]) -> ExecutionProfile:
    layers = tuple(LayerProfile(index=index, counts=named_counts(row)) for index, row in enumerate(counts.values()))
    return ExecutionProfile(engine=engine, core=core, overhead={}, layers=layers)


@dataclass
class Cost:
    """Instructions and cycles."""

    instructions: int = 0
    cycles: float = 0.0

    def add(self, other: Cost) -> None:
        """Add another cost to this one."""
        self.instructions += other.instructions
        self.cycles += other.cycles


def node_costs(places: PlaceCosts) -> dict[int, Cost]:
    """Cost of each calling context in itself."""
    costs: dict[int, Cost] = defaultdict(Cost)
    for place, row in places.counts.items():
        costs[place[0]].add(Cost(int(row[_INSTRUCTIONS]), places.cycles[place]))
    return costs


def inclusive_costs(nodes: NDArray[np.uint64], own: Mapping[int, Cost]) -> dict[int, Cost]:
    """Cost of each function with all that it called; a function within itself counts once."""
    total = [Cost() for _ in nodes]
    for number in range(len(nodes) - 1, -1, -1):  # children before their parents
        total[number].add(own.get(number, Cost()))
        parent = int(nodes[number, 0])
        if parent != NO_NODE:
            total[parent].add(total[number])
    costs: dict[int, Cost] = defaultdict(Cost)
    for number in range(len(nodes)):
        path = list(node_path(nodes, number))
        if path[-1] not in path[:-1]:
            costs[path[-1]].add(total[number])
    return costs


def node_path(nodes: NDArray[np.uint64], number: int) -> tuple[int, ...]:
    """Functions from the first one to that of a node."""
    path = []
    while number != NO_NODE:
        path.append(int(nodes[number, 1]))
        number = int(nodes[number, 0])
    return tuple(reversed(path))


def line_costs(
    calls: CallHook, places: PlaceCosts, code: Code, lines: LineTable, model: CycleModel
) -> dict[Line | None, Cost]:
    """Cost of each source line; that of code without a line under None.

    The cycles of a block are split among its lines as their instructions would take them on their own.
    """
    by_block: dict[int, Counts] = defaultdict(lambda: np.zeros(len(COUNT_NAMES), np.int64))
    cycles: dict[int, float] = defaultdict(float)
    for (_, number), row in places.counts.items():
        by_block[number] += row
        cycles[number] += places.cycles[(_, number)]
    blocks = calls.blocks()
    pieces: dict[int, Counts] = {}
    owners: list[tuple[int, Line | None]] = []
    for number, row in by_block.items():
        address, size = int(blocks[number, 0]), int(blocks[number, 1])
        for line, piece in _pieces(address, size, row, code, lines):
            pieces[len(owners)] = piece
            owners.append((number, line))
    weights = model.layer_cycles(_profile(places.profile.engine, places.profile.core, pieces))
    sums: dict[int, float] = defaultdict(float)
    for (number, _), weight in zip(owners, weights, strict=True):
        sums[number] += weight
    costs: dict[Line | None, Cost] = defaultdict(Cost)
    for index, ((number, line), weight) in enumerate(zip(owners, weights, strict=True)):
        share = weight / sums[number] if sums[number] else 0.0
        costs[line].add(Cost(int(pieces[index][_INSTRUCTIONS]), cycles[number] * share))
    return costs


def _pieces(address: int, size: int, row: Counts, code: Code, lines: LineTable) -> Iterator[tuple[Line | None, Counts]]:
    """Split the counts of a block at line changes: branches go to the last piece, how the block begins to the first."""
    data, block = code.bytes_at(address, size), code.block_at(address, size)
    executions = int(row[_INSTRUCTIONS]) // int(block.counts[_INSTRUCTIONS])
    cuts = list(_cuts(address, data, lines))
    loose = row - block.counts * executions
    loads = np.zeros_like(loose)
    for name in ("ld_first", "ld_pipe", "ld_after_st"):
        loads[COLUMN[name]] = loose[COLUMN[name]]
    before: Block | None = None
    for begin, end in zip(cuts, [*cuts[1:], size], strict=True):
        piece = analyse(data[begin:end])
        counts = piece.counts * executions
        if before is None:
            counts = counts + loads
        elif piece.begins_with_load:
            counts[COLUMN[load_column(before.ends_with)]] += executions
        if end == size:
            counts = counts + loose - loads
        yield lines.at(address + begin), counts
        before = piece


def _cuts(address: int, data: bytes, lines: LineTable) -> Iterator[int]:
    """Offsets of the instructions at which the line changes, the first one included."""
    offset, line = 0, lines.at(address)
    yield 0
    while offset < len(data):
        if (now := lines.at(address + offset)) != line:
            line = now
            yield offset
        offset += instruction_bytes(data, offset)
