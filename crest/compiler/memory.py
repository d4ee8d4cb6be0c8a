"""The arena plan: where each activation lives, and for how long."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from crest.compiler.graph import Graph

ALIGNMENT_BYTES: Final = 4
_IN_PLACE: Final = ("ADD", "SUB", "MUL", "RELU", "RELU6", "LEAKY_RELU", "HARD_SWISH", "LOGISTIC", "TANH", "QUANTIZE")


@dataclass(frozen=True)
class Buffer:
    """A block of the arena: alive from operator ``first`` to operator ``last``, both included."""

    owner: str
    size_bytes: int
    first: int
    last: int
    offset_bytes: int

    def overlaps_in_time(self, other: Buffer) -> bool:
        """Whether both are alive at some operator."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class ArenaPlan:
    """Offsets of tensors and scratch memory in the arena.

    Attributes:
        tensor_offsets_bytes: by tensor index, views included.
        scratch_offsets_bytes: by operator position.
        lower_bound_bytes: most bytes alive at one operator; no plan can be smaller.
    """

    buffers: tuple[Buffer, ...]
    tensor_offsets_bytes: Mapping[int, int]
    scratch_offsets_bytes: Mapping[int, int]
    size_bytes: int
    lower_bound_bytes: int


@dataclass
class _Block:
    owner: str
    size_bytes: int
    first: int
    last: int


def plan_arena(graph: Graph, scratch_bytes: Mapping[int, int]) -> ArenaPlan:
    """Place every activation and every operator's scratch memory.

    Args:
        graph: after its passes; a VIEW shares the bytes of its input, an ADD writes over an input that dies there.
        scratch_bytes: bytes of scratch memory by operator position.
    """
    roots, view_offsets = _roots(graph)
    blocks: dict[int, _Block] = {}
    for tensor, root in roots.items():
        first, last = _lifetime(graph, tensor)
        block = blocks.get(root)
        if block is None:
            blocks[root] = _Block(graph.tensors[root].name, graph.tensors[root].size_bytes, first, last)
        else:
            block.first, block.last = min(block.first, first), max(block.last, last)
    keys: list[tuple[str, int]] = [("tensor", root) for root in blocks]
    placed_blocks = list(blocks.values())
    for position, size in scratch_bytes.items():
        keys.append(("scratch", position))
        placed_blocks.append(_Block(f"scratch of operator {position}", size, position, position))
    offsets = min((_first_fit(placed_blocks, order) for order in _ORDERS), key=lambda o: _peak(placed_blocks, o))
    by_key = dict(zip(keys, offsets, strict=True))
    return ArenaPlan(
        buffers=tuple(
            Buffer(b.owner, b.size_bytes, b.first, b.last, at) for b, at in zip(placed_blocks, offsets, strict=True)
        ),
        tensor_offsets_bytes={t: by_key["tensor", root] + view_offsets[t] for t, root in roots.items()},
        scratch_offsets_bytes={position: by_key["scratch", position] for position in scratch_bytes},
        size_bytes=_peak(placed_blocks, offsets),
        lower_bound_bytes=_lower_bound(placed_blocks, len(graph.operators)),
    )


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


def _roots(graph: Graph) -> tuple[dict[int, int], dict[int, int]]:
    """The tensor whose bytes each activation uses, and its offset therein."""
    roots = {index: index for index in graph.inputs}
    offsets = dict.fromkeys(graph.inputs, 0)
    for position, op in enumerate(graph.operators):
        out = op.outputs[0]
        if op.kind == "VIEW":
            source = op.inputs[0]
            roots[out], offsets[out] = roots[source], offsets[source] + op.attributes["offset_bytes"]
            continue
        for written in op.outputs:
            roots[written], offsets[written] = written, 0
        if op.kind in _IN_PLACE:
            for source in (index for index in op.inputs if index in roots):
                # Whatever is read from these bytes, element i must be read last before element i is written.
                same = [roots[source], *(i for i in op.inputs if i in roots and roots[i] == roots[source])]
                fits = all(
                    offsets[i] == 0 and graph.tensors[i].size_bytes == graph.tensors[out].size_bytes for i in same
                )
                if fits and _dies_here(graph, source, position, roots):
                    roots[out] = roots[source]
                    break
    return roots, offsets


def _dies_here(graph: Graph, source: int, position: int, roots: Mapping[int, int]) -> bool:
    """Whether no later operator and no output reads the bytes of ``source``."""
    sharing = {t for t, root in roots.items() if root == roots[source]}
    if sharing & (set(graph.outputs) | set(graph.inputs)):
        return False
    return not any(sharing.intersection(op.inputs) for op in graph.operators[position + 1 :])


def _lifetime(graph: Graph, tensor: int) -> tuple[int, int]:
    # Inputs are written before the first operator, so nothing may lie over them until they are read.
    first = next((p for p, op in enumerate(graph.operators) if tensor in op.outputs), 0)
    readers = graph.consumers(tensor)
    last = len(graph.operators) - 1 if tensor in graph.outputs else max(readers, default=first)
    return first, max(first, last)


def _size_first(block: _Block) -> tuple[int, ...]:
    return (-block.size_bytes, block.first)


def _area_first(block: _Block) -> tuple[int, ...]:
    return (-block.size_bytes * (block.last - block.first + 1), block.first)


def _birth_first(block: _Block) -> tuple[int, ...]:
    return (block.first, -block.size_bytes)


_ORDERS: Final[tuple[Callable[[_Block], tuple[int, ...]], ...]] = (_size_first, _area_first, _birth_first)


def _first_fit(blocks: list[_Block], order: Callable[[_Block], tuple[int, ...]]) -> list[int]:
    """Offsets by placing blocks in order at the lowest address free for their whole life."""
    offsets: dict[int, int] = {}
    for index in sorted(range(len(blocks)), key=lambda i: order(blocks[i])):
        block = blocks[index]
        busy = sorted(
            (offsets[i], offsets[i] + _aligned(blocks[i].size_bytes))
            for i in offsets
            if blocks[i].first <= block.last and block.first <= blocks[i].last
        )
        at = 0
        for start, end in busy:
            if at + block.size_bytes <= start:
                break
            at = max(at, end)
        offsets[index] = at
    return [offsets[i] for i in range(len(blocks))]


def _peak(blocks: list[_Block], offsets: list[int]) -> int:
    return max((at + _aligned(b.size_bytes) for b, at in zip(blocks, offsets, strict=True)), default=0)


def _lower_bound(blocks: list[_Block], operators: int) -> int:
    return max(
        (sum(_aligned(b.size_bytes) for b in blocks if b.first <= p <= b.last) for p in range(operators)), default=0
    )
