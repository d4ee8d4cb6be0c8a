"""Turns operators that select neighbouring bytes into views of their input, which cost nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from crest.compiler.graph import ELEMENT_BYTES, Graph, Operator
from crest.compiler.passes.kinds import RESHAPES, SLICES

# The kernel that copies a slice knows no more axes.
_COPIED_AXES: Final = 4


def make_views(graph: Graph) -> tuple[Graph, list[str]]:
    """Replace reshapes and contiguous slices by VIEW with a byte offset into the input."""
    return _replace_by_views(graph, copy_slices=False)


def view_reshapes(graph: Graph) -> tuple[Graph, list[str]]:
    """Replace reshapes by VIEW, for they have no kernel; slices stay copies, where their kernel can make them."""
    return _replace_by_views(graph, copy_slices=True)


def _replace_by_views(graph: Graph, *, copy_slices: bool) -> tuple[Graph, list[str]]:
    operators, removed = [], []
    for position, op in enumerate(graph.operators):
        copied = copy_slices and op.kind in SLICES and len(op.attributes["begin"]) <= _COPIED_AXES
        offset_bytes = None if copied else _view_offset_bytes(graph, op)
        if offset_bytes is None:
            operators.append(op)
            continue
        operators.append(Operator("VIEW", op.inputs[:1], op.outputs, {"offset_bytes": offset_bytes}))
        removed.append(f"operator {position} ({op.kind}): a view of its input at byte {offset_bytes}")
    return replace(graph, operators=tuple(operators)), removed


def _view_offset_bytes(graph: Graph, op: Operator) -> int | None:
    if op.kind in RESHAPES:
        return 0
    if op.kind not in SLICES:
        return None
    source, out = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    begin, count, strides = (np.array(op.attributes[key]) for key in ("begin", "count", "strides"))
    last = begin + (count - 1) * strides
    first_index = int(np.ravel_multi_index(tuple(begin), source.shape))
    last_index = int(np.ravel_multi_index(tuple(last), source.shape))
    # Selected indices increase, so they are neighbours exactly when they span no more than their number.
    if last_index - first_index + 1 != out.elements:
        return None
    return first_index * ELEMENT_BYTES[source.dtype]
