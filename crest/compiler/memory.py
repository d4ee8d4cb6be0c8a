"""The arena plan: where each activation lives, and for how long."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from crest.compiler.graph import Graph, Operator
from crest.compiler.offsets import SEARCH_NODES, Block, Overlap, lower_bound_bytes, place

# Kernels that read element i of their operands for the last time before they write element i of the result.
_IN_PLACE: Final = frozenset(
    ("ADD", "SUB", "MUL", "RELU", "RELU6", "LEAKY_RELU", "HARD_SWISH", "LOGISTIC", "TANH", "QUANTIZE")
)

Views = Mapping[int, tuple[int, int]]
"""By activation: the tensor whose bytes it uses (itself unless it is a view), and the offset therein."""


@dataclass(frozen=True)
class Buffer(Block):
    """A placed block of the arena and the tensor or operator that it belongs to."""

    owner: str
    offset_bytes: int
    is_scratch: bool


@dataclass(frozen=True)
class ArenaPlan:
    """Offsets of tensors and scratch memory in the arena.

    Attributes:
        tensor_offsets_bytes: by tensor index, views included.
        scratch_offsets_bytes: by operator position.
        lower_bound_bytes: no offsets make the arena smaller than this.
        optimal: whether it is proven that no offsets make the arena smaller than it is.
    """

    buffers: tuple[Buffer, ...]
    tensor_offsets_bytes: Mapping[int, int]
    scratch_offsets_bytes: Mapping[int, int]
    size_bytes: int
    lower_bound_bytes: int
    optimal: bool


def plan_arena(
    graph: Graph,
    scratch_bytes: Mapping[int, int],
    lag_bytes: Mapping[int, int] | None = None,
    search_nodes: int = SEARCH_NODES,
) -> ArenaPlan:
    """Place every activation and every operator's scratch memory.

    Args:
        graph: after its passes; a VIEW shares the bytes of its input, an element-wise operator writes over an operand
            that dies there.
        scratch_bytes: bytes of scratch memory by operator position.
        lag_bytes: by operator position, how far its result must start before its first operand at least where it may
            lie over the part of it that has been read; see ``KernelCall``.
        search_nodes: effort of the search for better offsets.
    """
    views = view_roots(graph)
    shared, lives = _shared_blocks(graph, views)
    owners = list(lives)
    blocks = [Block(graph.tensors[owner].size_bytes, *lives[owner]) for owner in owners]
    names = [graph.tensors[owner].name for owner in owners]
    for position, size in scratch_bytes.items():
        blocks.append(Block(size, position, position))
        names.append(f"scratch of operator {position}")
    overlaps = _overlaps(graph, views, shared, owners, blocks, lag_bytes or {})
    placement = place(blocks, overlaps, search_nodes)
    tensors = dict(zip(owners, placement.offsets_bytes, strict=False))
    scratch = placement.offsets_bytes[len(owners) :]
    return ArenaPlan(
        buffers=tuple(
            Buffer(block.size_bytes, block.first, block.last, name, offset, is_scratch=number >= len(owners))
            for number, (block, name, offset) in enumerate(zip(blocks, names, placement.offsets_bytes, strict=True))
        ),
        tensor_offsets_bytes={tensor: tensors[shared[root]] + offset for tensor, (root, offset) in views.items()},
        scratch_offsets_bytes=dict(zip(scratch_bytes, scratch, strict=True)),
        size_bytes=placement.size_bytes,
        lower_bound_bytes=lower_bound_bytes(blocks, overlaps),
        optimal=placement.optimal,
    )


def view_roots(graph: Graph) -> Views:
    """Whose bytes each activation uses, as far as views alone decide it."""
    views = {index: (index, 0) for index in graph.inputs}
    for op in graph.operators:
        for out in op.outputs:
            views[out] = (out, 0)
        if op.kind == "VIEW":
            root, offset = views[op.inputs[0]]
            views[op.outputs[0]] = (root, offset + op.attributes["offset_bytes"])
    return views


def in_place_roots(graph: Graph, op: Operator, views: Views) -> Iterator[int]:
    """Tensors that an operator may write its result over, provided that nobody reads them afterwards."""
    if op.kind not in _IN_PLACE:
        return
    out = graph.tensors[op.outputs[0]]
    operands = dict.fromkeys((*views[i], graph.tensors[i].size_bytes) for i in op.inputs if i in views)
    for root, offset, size in operands:
        tensor = graph.tensors[root]
        # A part that is broadcast is read again and again.
        alike = offset == 0 and size == tensor.size_bytes == out.size_bytes and tensor.dtype == out.dtype
        # Another operand within the same bytes would be read at other places than are written.
        if alike and sum(other == root for other, *_ in operands) == 1 and root not in _kept(graph, views):
            yield root


def lagging_root(graph: Graph, op: Operator, lag_bytes: int, views: Views) -> tuple[int, int] | None:
    """The tensor that an operator's result may lie over, provided that nobody reads it afterwards, and by which lag.

    The lag is that to the beginning of the tensor, of which the operand may be a part.
    """
    root, offset = views[op.inputs[0]]
    operands = [index for index in op.inputs if index in views and views[index][0] == root]
    if len(operands) > 1 or root in _kept(graph, views):
        return None
    return root, max(lag_bytes - offset, 0)


def _overlaps(
    graph: Graph,
    views: Views,
    shared: Mapping[int, int],
    owners: Sequence[int],
    blocks: Sequence[Block],
    lag_bytes: Mapping[int, int],
) -> list[Overlap]:
    """Results that may lie over an operand that dies where they are born."""
    number = {owner: position for position, owner in enumerate(owners)}
    overlaps = []
    for position, lag in lag_bytes.items():
        op = graph.operators[position]
        found = lagging_root(graph, op, lag, views)
        if found is None:
            continue
        written, read = number[shared[op.outputs[0]]], number[shared[found[0]]]
        if written != read and blocks[read].last == position == blocks[written].first:
            overlaps.append(Overlap(written, read, found[1]))
    return overlaps


def _kept(graph: Graph, views: Views) -> set[int]:
    return {views[index][0] for index in graph.outputs}


def _shared_blocks(graph: Graph, views: Views) -> tuple[dict[int, int], dict[int, tuple[int, int]]]:
    """The tensor whose block each root lies in, and the life of each such block."""
    born, dies = _lives(graph, views)
    shared = {root: root for root in born}
    lives = {root: (born[root], dies[root]) for root in graph.inputs}
    for position, op in enumerate(graph.operators):
        if op.kind == "VIEW":
            continue
        over = next((root for root in in_place_roots(graph, op, views) if dies[root] == position), None)
        if over is not None:
            block = shared[op.outputs[0]] = shared[over]
            lives[block] = (lives[block][0], dies[op.outputs[0]])
        else:
            lives |= {out: (born[out], dies[out]) for out in op.outputs}
    return shared, lives


def _lives(graph: Graph, views: Views) -> tuple[dict[int, int], dict[int, int]]:
    """First and last operator of each root. Inputs are written before the first one, so they are there from 0 on."""
    born = dict.fromkeys(graph.inputs, 0)
    dies = dict(born)
    for position, op in enumerate(graph.operators):
        for root in {views[index][0] for index in op.inputs if index in views}:
            dies[root] = position
        if op.kind != "VIEW":
            born |= dict.fromkeys(op.outputs, position)
            dies |= dict.fromkeys(op.outputs, position)
    return born, dies | dict.fromkeys(_kept(graph, views), max(len(graph.operators) - 1, 0))
