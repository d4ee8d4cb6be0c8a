"""Operators that only move elements, with one output."""

from __future__ import annotations

import math
from typing import Any

import tflite

from crest.compiler.graph import Operator
from crest.compiler.operators.checks import (
    DYNAMIC_BATCH_HINT,
    Tensors,
    check_same_scale,
    check_shape,
    constant_ints,
    need,
    options,
)


def read_reshape(raw: Any, op: Operator, tensors: Tensors, where: str) -> dict[str, Any]:
    """RESHAPE, EXPAND_DIMS and SQUEEZE: the elements stay as they lie."""
    source, out = tensors[op.inputs[0]], tensors[op.outputs[0]]
    need(source.elements == out.elements, where, "changes the number of elements", DYNAMIC_BATCH_HINT)
    if op.kind != "RESHAPE":
        kept = [tuple(size for size in t.shape if size != 1) for t in (source, out)]
        need(kept[0] == kept[1], where, "output shape contradicts the operator")
    check_same_scale(where, source, out)
    return {}


def read_pad(raw: Any, op: Operator, tensors: Tensors, where: str) -> dict[str, Any]:
    """PAD with zeros."""
    source, out = tensors[op.inputs[0]], tensors[op.outputs[0]]
    pads = constant_ints(op, 1, tensors, where)
    need(pads.shape == (len(source.shape), 2) and bool((pads >= 0).all()), where, "paddings are malformed")
    check_shape(out, tuple(int(s + p.sum()) for s, p in zip(source.shape, pads, strict=True)), where)
    check_same_scale(where, source, out)
    return {"paddings": tuple((int(a), int(b)) for a, b in pads)}


def read_strided_slice(raw: Any, op: Operator, tensors: Tensors, where: str) -> dict[str, Any]:
    """STRIDED_SLICE with steps forward."""
    given = options(raw, tflite.StridedSliceOptions, where)
    source, out = tensors[op.inputs[0]], tensors[op.outputs[0]]
    need(given.EllipsisMask() == 0 and given.NewAxisMask() == 0, where, "ellipsis and new axes are not supported")
    begin, end, strides = (constant_ints(op, i, tensors, where) for i in (1, 2, 3))
    rank = len(source.shape)
    need(begin.shape == end.shape == strides.shape == (rank,), where, "begin, end and strides must cover every axis")
    need(bool((strides > 0).all()), where, "strides must be positive")
    starts, counts, kept = [], [], []
    for axis, size in enumerate(source.shape):
        stop = None if given.EndMask() >> axis & 1 else int(end[axis])
        start = None if given.BeginMask() >> axis & 1 else int(begin[axis])
        first, last, step = slice(start, stop, int(strides[axis])).indices(size)
        shrink = bool(given.ShrinkAxisMask() >> axis & 1)
        count = 1 if shrink else len(range(first, last, step))
        need(count > 0 and first < size, where, f"axis {axis} selects nothing")
        starts.append(first)
        counts.append(count)
        if not shrink:
            kept.append(count)
    check_shape(out, tuple(kept), where)
    check_same_scale(where, source, out)
    return {"begin": tuple(starts), "count": tuple(counts), "strides": tuple(int(s) for s in strides)}


def read_slice(raw: Any, op: Operator, tensors: Tensors, where: str) -> dict[str, Any]:
    """SLICE: a box; a size of -1 reaches to the end."""
    source, out = tensors[op.inputs[0]], tensors[op.outputs[0]]
    begin, size = (constant_ints(op, i, tensors, where) for i in (1, 2))
    rank = len(source.shape)
    need(begin.shape == size.shape == (rank,), where, "begin and size must cover every axis")
    starts = tuple(int(start) for start in begin)
    counts = tuple(
        length - start if count == -1 else int(count)
        for length, start, count in zip(source.shape, starts, size, strict=True)
    )
    fits = (
        start >= 0 and count > 0 and start + count <= length
        for length, start, count in zip(source.shape, starts, counts, strict=True)
    )
    need(all(fits), where, "selects what does not exist")
    check_shape(out, counts, where)
    check_same_scale(where, source, out)
    return {"begin": starts, "count": counts, "strides": (1,) * rank}


def read_transpose(raw: Any, op: Operator, tensors: Tensors, where: str) -> dict[str, Any]:
    """TRANSPOSE by a constant permutation."""
    source, out = tensors[op.inputs[0]], tensors[op.outputs[0]]
    given = tuple(int(axis) for axis in constant_ints(op, 1, tensors, where).reshape(-1))
    rank = len(source.shape)
    need(sorted(axis % rank if -rank <= axis < rank else -1 for axis in given) == list(range(rank)), where,
         "is no permutation of the axes")  # fmt: skip
    permutation = tuple(axis % rank for axis in given)
    check_shape(out, tuple(source.shape[axis] for axis in permutation), where)
    check_same_scale(where, source, out)
    return {"permutation": permutation}


def read_space_to_batch(raw: Any, op: Operator, tensors: Tensors, where: str) -> dict[str, Any]:
    """SPACE_TO_BATCH_ND over height, or over height and width."""
    source, out = tensors[op.inputs[0]], tensors[op.outputs[0]]
    block, pads = _block(op, tensors, where)
    padded = [s + int(p.sum()) for s, p in zip(source.shape[1:], pads, strict=False)]
    need(all(s % b == 0 for s, b in zip(padded, block, strict=True)), where, "blocks do not divide the padded input")
    cells = [s // b for s, b in zip(padded, block, strict=True)]
    check_shape(out, (source.shape[0] * math.prod(block), *cells, source.shape[-1]), where)
    check_same_scale(where, source, out)
    return {"block": block, "before": tuple(int(p[0]) for p in pads)}


def read_batch_to_space(raw: Any, op: Operator, tensors: Tensors, where: str) -> dict[str, Any]:
    """BATCH_TO_SPACE_ND over height, or over height and width."""
    source, out = tensors[op.inputs[0]], tensors[op.outputs[0]]
    block, crops = _block(op, tensors, where)
    batch = source.shape[0]
    need(
        batch % math.prod(block) == 0,
        where,
        f"batch {batch} is no multiple of the block {list(block)}",
        DYNAMIC_BATCH_HINT,
    )
    sizes = [s * b - int(c.sum()) for s, b, c in zip(source.shape[1:], block, crops, strict=False)]
    check_shape(out, (batch // math.prod(block), *sizes, source.shape[-1]), where)
    check_same_scale(where, source, out)
    return {"block": block, "before": tuple(int(c[0]) for c in crops)}


def _block(op: Operator, tensors: Tensors, where: str) -> tuple[tuple[int, ...], Any]:
    axes = len(tensors[op.inputs[0]].shape) - 2
    block, edges = (constant_ints(op, i, tensors, where) for i in (1, 2))
    need(axes in (1, 2), where, "needs a tensor of 3 or 4 dimensions")
    need(block.shape == (axes,) and bool((block > 0).all()), where, "block shape is malformed")
    need(edges.shape == (axes, 2) and bool((edges >= 0).all()), where, "paddings or crops are malformed")
    return tuple(int(size) for size in block), edges
