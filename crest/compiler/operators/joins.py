"""Operators that join tensors to one, or part one into several, along an axis."""

from __future__ import annotations

from typing import Any

import tflite

from crest.compiler.graph import Operator, Tensor
from crest.compiler.operators.checks import (
    Tensors,
    axis_of,
    check_same_scale,
    check_shape,
    constant_ints,
    need,
    options,
)


def read_concatenation(raw: Any, op: Operator, tensors: Tensors, where: str) -> dict[str, Any]:
    """CONCATENATION; without a fused activation, as in the reference."""
    given = options(raw, tflite.ConcatenationOptions, where)
    parts, out = [tensors[i] for i in op.inputs], tensors[op.outputs[0]]
    need(given.FusedActivationFunction() == 0, where, "a fused activation is not supported")
    axis = axis_of(given.Axis(), len(out.shape), where)
    _check_parts(out, parts, axis, where)
    return {"axis": axis}


def read_split(raw: Any, op: Operator, tensors: Tensors, where: str) -> dict[str, Any]:
    """SPLIT into equal parts."""
    source, parts = tensors[op.inputs[1]], [tensors[i] for i in op.outputs]
    axis = _constant_axis(op, 0, source, tensors, where)
    need(all(part.shape == parts[0].shape for part in parts), where, "outputs differ in shape")
    _check_parts(source, parts, axis, where)
    return {"axis": axis}


def read_split_v(raw: Any, op: Operator, tensors: Tensors, where: str) -> dict[str, Any]:
    """SPLIT_V into parts of given sizes; one of them may be -1, the rest."""
    source, parts = tensors[op.inputs[0]], [tensors[i] for i in op.outputs]
    axis = _constant_axis(op, 2, source, tensors, where)
    sizes = constant_ints(op, 1, tensors, where)
    _check_parts(source, parts, axis, where)
    stated = sizes.shape == (len(parts),) and all(
        size in (-1, part.shape[axis]) for size, part in zip(sizes, parts, strict=True)
    )
    need(stated, where, "output shapes contradict the sizes")
    return {"axis": axis}


def read_pack(raw: Any, op: Operator, tensors: Tensors, where: str) -> dict[str, Any]:
    """PACK: tensors of equal shape along a new axis."""
    parts, out = [tensors[i] for i in op.inputs], tensors[op.outputs[0]]
    axis = axis_of(options(raw, tflite.PackOptions, where).Axis(), len(out.shape), where)
    _check_stack(out, parts, axis, where)
    return {"axis": axis}


def read_unpack(raw: Any, op: Operator, tensors: Tensors, where: str) -> dict[str, Any]:
    """UNPACK: the slices along an axis, which goes."""
    source, parts = tensors[op.inputs[0]], [tensors[i] for i in op.outputs]
    axis = axis_of(options(raw, tflite.UnpackOptions, where).Axis(), len(source.shape), where)
    _check_stack(source, parts, axis, where)
    return {"axis": axis}


def _constant_axis(op: Operator, position: int, source: Tensor, tensors: Tensors, where: str) -> int:
    given = constant_ints(op, position, tensors, where).reshape(-1)
    need(len(given) == 1, where, "axis is malformed")
    return axis_of(int(given[0]), len(source.shape), where)


def _check_parts(whole: Tensor, parts: list[Tensor], axis: int, where: str) -> None:
    for part in parts:
        size = part.shape[axis : axis + 1]
        check_shape(part, (*whole.shape[:axis], *size, *whole.shape[axis + 1 :]), where)
    need(sum(part.shape[axis] for part in parts) == whole.shape[axis], where, "the parts do not make up the whole")
    check_same_scale(where, whole, *parts)


def _check_stack(whole: Tensor, parts: list[Tensor], axis: int, where: str) -> None:
    for part in parts:
        check_shape(part, (*whole.shape[:axis], *whole.shape[axis + 1 :]), where)
    need(len(parts) == whole.shape[axis], where, "the parts do not make up the whole")
    check_same_scale(where, whole, *parts)
