"""Offsets for blocks of memory with known lifetimes: greedy orders, then a search that is exact for small plans."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

ALIGNMENT_BYTES: Final = 4
SEARCH_NODES: Final = 2000
"""Blocks that the search places before it gives up; a fraction of a second."""
WANDER_STEPS: Final = 100
"""Changes of each greedy order that are tried before."""
SEARCH_BLOCKS: Final = 200
"""Plans of more blocks are left to the greedy orders: the search is as deep as there are blocks."""


def aligned(size_bytes: int) -> int:
    """Bytes up to where the next block may begin."""
    return -(-size_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


@dataclass(frozen=True)
class Block:
    """A block that is alive from operator ``first`` to operator ``last``, both included."""

    size_bytes: int
    first: int
    last: int

    @property
    def aligned_bytes(self) -> int:
        """Bytes up to where the next block may begin."""
        return aligned(self.size_bytes)

    def overlaps_in_time(self, other: Block) -> bool:
        """Whether both are alive at some operator."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Overlap:
    """Two blocks that may share memory: one is written while the other is read for the last time.

    Attributes:
        written, read: positions in the list of blocks.
        lag_bytes: where they share memory, the one that is read starts at least so far behind the one that is written.
    """

    written: int
    read: int
    lag_bytes: int


@dataclass(frozen=True)
class Placement:
    """Offset of each block, in order, the bytes they span, and whether no placement can span less."""

    offsets_bytes: tuple[int, ...]
    size_bytes: int
    optimal: bool


def saved_bytes(written: Block, read: Block, lag_bytes: int) -> int:
    """Bytes that two blocks need less together than apart."""
    together = max(written.aligned_bytes, lag_bytes + read.aligned_bytes)
    return max(written.aligned_bytes + read.aligned_bytes - together, 0)


def lower_bound_bytes(blocks: Sequence[Block], overlaps: Sequence[Overlap] = ()) -> int:
    """Bytes that no placement can do without.

    The most that are alive at one operator, shared ones counted once, or what a chain of overlaps takes.
    """
    changes = [0] * (max((block.last for block in blocks), default=0) + 2)
    for block in blocks:
        changes[block.first] += block.aligned_bytes
        changes[block.last + 1] -= block.aligned_bytes
    alive = list(accumulate(changes))
    for overlap in overlaps:
        written, read = blocks[overlap.written], blocks[overlap.read]
        alive[written.first] -= saved_bytes(written, read, overlap.lag_bytes)
    return max(*alive, _chain_bound(blocks, overlaps))


def _chain_bound(blocks: Sequence[Block], overlaps: Sequence[Overlap]) -> int:
    """Bytes that a chain of results takes, each of which lies over the one before: their lags add up.

    Either all neighbours of a part of the chain share memory, or two of them lie apart.
    """
    following = {overlap.read: overlap for overlap in overlaps}
    bound = 0
    for start in following:
        at, lags, apart = start, 0, sys.maxsize
        while (step := following.get(at)) is not None:
            lags += aligned(step.lag_bytes)
            apart = min(apart, blocks[at].aligned_bytes + blocks[step.written].aligned_bytes)
            at = step.written
            bound = max(bound, min(apart, lags + blocks[start].aligned_bytes))
    return bound


def place(blocks: Sequence[Block], overlaps: Sequence[Overlap] = (), search_nodes: int = SEARCH_NODES) -> Placement:
    """Place blocks so that those alive together lie apart, or as their overlap allows.

    Args:
        blocks: what to place.
        overlaps: pairs that may share memory; the one that is read dies where the one that is written is born, and no
            block is written, or read, in two pairs.
        search_nodes: effort of the search behind the greedy orders; 0 leaves it out.
    """
    bound = lower_bound_bytes(blocks, overlaps)
    rises = _Rises(blocks, overlaps)
    steps = WANDER_STEPS if search_nodes and len(blocks) <= SEARCH_BLOCKS else 0
    best: list[int] | None = None
    for key in _ORDERS:
        found = _wander(blocks, rises, bound, sorted(range(len(blocks)), key=lambda i: key(blocks[i])), steps)
        best = found if best is None else min(best, found, key=lambda offsets: _span(blocks, offsets))
        if _span(blocks, best) == bound:
            break
    assert best is not None
    size = _span(blocks, best)
    if size == bound or len(blocks) > SEARCH_BLOCKS:
        return Placement(tuple(best), size, optimal=size == bound)
    search = _Search(blocks, overlaps, rises, bound, search_nodes)
    search.best, search.best_size = best, size
    search.run()
    return Placement(tuple(search.best), search.best_size, optimal=search.complete)


class _Rises:
    """By how much one block starts above another at least, if it is the upper one of two that live together."""

    def __init__(self, blocks: Sequence[Block], overlaps: Sequence[Overlap]) -> None:
        self._sizes = [block.aligned_bytes for block in blocks]
        # At least a word, so that blocks at the same offset never live together.
        self._lags = {(o.written, o.read): max(aligned(o.lag_bytes), ALIGNMENT_BYTES) for o in overlaps}

    def __call__(self, lower: int, upper: int) -> int:
        return min(self._sizes[lower], self._lags.get((lower, upper), self._sizes[lower]))


def _size_first(block: Block) -> tuple[int, ...]:
    return (-block.size_bytes, block.first)


def _size_first_backwards(block: Block) -> tuple[int, ...]:
    """Results come before the operands that they may lie under."""
    return (-block.size_bytes, -block.last)


def _area_first(block: Block) -> tuple[int, ...]:
    return (-block.size_bytes * (block.last - block.first + 1), block.first)


def _birth_first(block: Block) -> tuple[int, ...]:
    return (block.first, -block.size_bytes)


_ORDERS: Final[tuple[Callable[[Block], tuple[int, ...]], ...]] = (
    _size_first,
    _size_first_backwards,
    _area_first,
    _birth_first,
)


def _first_fit(blocks: Sequence[Block], rises: _Rises, order: Sequence[int]) -> list[int]:
    """Offsets by placing blocks in order at the lowest address free for their whole life."""
    offsets: dict[int, int] = {}
    for index in order:
        # Strictly between the two, the block would meet the other one.
        busy = sorted(
            (offset - rises(index, other), offset + rises(other, index))
            for other, offset in offsets.items()
            if blocks[other].overlaps_in_time(blocks[index])
        )
        at = 0
        for below, above in busy:
            if at <= below:
                break
            at = max(at, above)
        offsets[index] = at
    return [offsets[i] for i in range(len(blocks))]


def _wander(blocks: Sequence[Block], rises: _Rises, bound: int, order: Sequence[int], steps: int) -> list[int]:
    """Offsets by small changes of an order: the block at the top comes earlier, now and then another one anywhere."""
    rng = random.Random(0)  # the same plan every time
    best = _first_fit(blocks, rises, order)
    for _ in range(steps):
        size = _span(blocks, best)
        if size == bound:
            break
        changed = list(order)
        top = next(i for i, at in enumerate(best) if at + blocks[i].aligned_bytes == size)
        changed.remove(top)
        changed.insert(rng.randrange(order.index(top) or 1), top)
        if rng.random() < 0.5:
            changed.insert(rng.randrange(len(order)), changed.pop(rng.randrange(len(order))))
        offsets = _first_fit(blocks, rises, changed)
        if _span(blocks, offsets) <= size:
            order, best = changed, offsets
    return best


def _span(blocks: Sequence[Block], offsets: Sequence[int]) -> int:
    return max((at + b.aligned_bytes for b, at in zip(blocks, offsets, strict=True)), default=0)


class _Search:
    """Depth first over the orders in which blocks can be stacked.

    Some optimal placement has every block at the bottom or as low on another as it may start. Built in order of offset,
    each block then lies as low as those before it allow: no gaps need to be looked for.
    """

    def __init__(
        self, blocks: Sequence[Block], overlaps: Sequence[Overlap], rises: _Rises, bound: int, nodes: int
    ) -> None:
        self._blocks = blocks
        self._overlaps = overlaps
        self._bound = bound
        self._nodes = nodes
        self._offsets = [0] * len(blocks)
        self._neighbours = [
            [(j, rises(i, j)) for j, other in enumerate(blocks) if j != i and other.overlaps_in_time(block)]
            for i, block in enumerate(blocks)
        ]
        # By operator: the highest end so far, and the bytes still to be placed.
        moments = range(max((block.last for block in blocks), default=-1) + 1)
        self._tops = [0 for _ in moments]
        self._missing = [sum(b.aligned_bytes for b in blocks if b.first <= t <= b.last) for t in moments]
        self.best: Sequence[int] = ()
        self.best_size = 0
        self.complete = False

    def run(self) -> None:
        everything = dict.fromkeys(range(len(self._blocks)), 0)
        self.complete = self._descend(everything, (0, 0)) or self.best_size == self._bound

    def _descend(self, waiting: dict[int, int], floor: tuple[int, int]) -> bool:
        """Place what waits, at or above ``floor`` (offset, index); returns False when the effort is spent.

        Args:
            waiting: lowest offset of each block that is not placed, as those that are placed allow.
            floor: of the block placed last.
        """
        if not waiting:
            self.best, self.best_size = list(self._offsets), _span(self._blocks, self._offsets)
            return True
        for index in sorted(waiting, key=lambda i: (waiting[i], -self._blocks[i].size_bytes, i)):
            # Blocks at equal offsets do not meet: one order of them is enough.
            if (waiting[index], index) < floor:
                continue
            if self._nodes == 0:
                return False
            self._nodes -= 1
            going = self._put(index, waiting)
            if not going or self.best_size == self._bound:
                return going
        return True

    def _put(self, index: int, waiting: dict[int, int]) -> bool:
        """Place one block and all others after it."""
        block, at = self._blocks[index], waiting[index]
        life = slice(block.first, block.last + 1)
        tops, missing = self._tops[life], self._missing[life]
        self._offsets[index] = at
        self._tops[life] = [max(top, at + block.aligned_bytes) for top in tops]
        self._missing[life] = [size - block.aligned_bytes for size in missing]
        rest = {other: lowest for other, lowest in waiting.items() if other != index}
        for other, rise in self._neighbours[index]:
            if other in rest:
                rest[other] = max(rest[other], at + rise)
        going = self._descend(rest, (at, index)) if self._is_promising(rest) else True
        self._tops[life], self._missing[life] = tops, missing
        return going

    def _is_promising(self, waiting: dict[int, int]) -> bool:
        """Whether the blocks that wait might still end below the best placement so far."""
        if any(lowest + self._blocks[i].aligned_bytes >= self.best_size for i, lowest in waiting.items()):
            return False
        ends = [top + missing for top, missing in zip(self._tops, self._missing, strict=True)]
        for overlap in self._overlaps:
            written, read = self._blocks[overlap.written], self._blocks[overlap.read]
            both = overlap.written in waiting and overlap.read in waiting
            if both:
                ends[written.first] -= saved_bytes(written, read, overlap.lag_bytes)
            elif overlap.written in waiting or overlap.read in waiting:  # it may lie within what is placed
                ends[written.first] -= (written if overlap.written in waiting else read).aligned_bytes
        return max(ends) < self.best_size
