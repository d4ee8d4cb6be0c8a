"""Offsets for blocks of memory with known lifetimes: greedy orders, then a search that is exact for small plans."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

ALIGNMENT_BYTES: Final = 4
SEARCH_NODES: Final = 5000
"""Blocks that the search places before it gives up; a fraction of a second."""
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
class Placement:
    """Offset of each block, in order, the bytes they span, and whether no placement can span less."""

    offsets_bytes: tuple[int, ...]
    size_bytes: int
    optimal: bool


def lower_bound_bytes(blocks: Sequence[Block]) -> int:
    """Most bytes alive at one operator: no placement spans less."""
    changes = [0] * (max((block.last for block in blocks), default=0) + 2)
    for block in blocks:
        changes[block.first] += block.aligned_bytes
        changes[block.last + 1] -= block.aligned_bytes
    return max(accumulate(changes))


def place(blocks: Sequence[Block], search_nodes: int = SEARCH_NODES) -> Placement:
    """Place blocks so that those alive together lie apart.

    Args:
        blocks: what to place.
        search_nodes: effort of the search behind the greedy orders; 0 leaves it out.
    """
    greedy = min((_first_fit(blocks, order) for order in _ORDERS), key=lambda offsets: _span(blocks, offsets))
    size = _span(blocks, greedy)
    if size == lower_bound_bytes(blocks) or len(blocks) > SEARCH_BLOCKS:
        return Placement(tuple(greedy), size, optimal=size == lower_bound_bytes(blocks))
    search = _Search(blocks, greedy, size, search_nodes)
    search.run()
    return Placement(tuple(search.best), search.best_size, optimal=search.complete)


def _size_first(block: Block) -> tuple[int, ...]:
    return (-block.size_bytes, block.first)


def _area_first(block: Block) -> tuple[int, ...]:
    return (-block.size_bytes * (block.last - block.first + 1), block.first)


def _birth_first(block: Block) -> tuple[int, ...]:
    return (block.first, -block.size_bytes)


_ORDERS: Final[tuple[Callable[[Block], tuple[int, ...]], ...]] = (_size_first, _area_first, _birth_first)


def _first_fit(blocks: Sequence[Block], order: Callable[[Block], tuple[int, ...]]) -> list[int]:
    """Offsets by placing blocks in order at the lowest address free for their whole life."""
    offsets: dict[int, int] = {}
    for index in sorted(range(len(blocks)), key=lambda i: order(blocks[i])):
        block = blocks[index]
        busy = sorted(
            (offsets[i], offsets[i] + blocks[i].aligned_bytes) for i in offsets if blocks[i].overlaps_in_time(block)
        )
        at = 0
        for start, end in busy:
            if at + block.size_bytes <= start:
                break
            at = max(at, end)
        offsets[index] = at
    return [offsets[i] for i in range(len(blocks))]


def _span(blocks: Sequence[Block], offsets: Sequence[int]) -> int:
    return max((at + b.aligned_bytes for b, at in zip(blocks, offsets, strict=True)), default=0)


class _Search:
    """Depth first over the orders in which blocks can be stacked.

    Some optimal placement has every block at the bottom or directly on one that lives at the same time. Built in order
    of offset, each block then lies on the highest top that it meets: no gaps need to be looked for.
    """

    def __init__(self, blocks: Sequence[Block], best: list[int], best_size: int, nodes: int) -> None:
        self._blocks = blocks
        self._bound = lower_bound_bytes(blocks)
        self._nodes = nodes
        self._offsets = [0] * len(blocks)
        # By operator: the highest top so far, and the bytes still to be placed.
        moments = range(max((block.last for block in blocks), default=-1) + 1)
        self._tops = [0 for _ in moments]
        self._missing = [sum(b.aligned_bytes for b in blocks if b.first <= t <= b.last) for t in moments]
        self.best = best
        self.best_size = best_size
        self.complete = False

    def run(self) -> None:
        self.complete = self._descend(frozenset(range(len(self._blocks))), (0, 0)) or self.best_size == self._bound

    def _descend(self, waiting: frozenset[int], floor: tuple[int, int]) -> bool:
        """Place what waits at or above ``floor`` (offset, index); returns False when the effort is spent."""
        if not waiting:
            self.best, self.best_size = list(self._offsets), _span(self._blocks, self._offsets)
            return True
        at = {i: max(self._tops[self._blocks[i].first : self._blocks[i].last + 1]) for i in waiting}
        for index in sorted(waiting, key=lambda i: (at[i], -self._blocks[i].size_bytes, i)):
            # Blocks at equal offsets do not meet: one order of them is enough.
            if (at[index], index) < floor:
                continue
            if self._nodes == 0:
                return False
            self._nodes -= 1
            block, before = self._blocks[index], self._tops[self._blocks[index].first : self._blocks[index].last + 1]
            self._put(block, [at[index] + block.aligned_bytes] * len(before), -block.aligned_bytes)
            self._offsets[index] = at[index]
            promising = all(t + m < self.best_size for t, m in zip(self._tops, self._missing, strict=True))
            going = self._descend(waiting - {index}, (at[index], index)) if promising else True
            self._put(block, before, block.aligned_bytes)
            if not going or self.best_size == self._bound:
                return going
        return True

    def _put(self, block: Block, tops: list[int], missing: int) -> None:
        for position, moment in enumerate(range(block.first, block.last + 1)):
            self._tops[moment] = tops[position]
            self._missing[moment] += missing
