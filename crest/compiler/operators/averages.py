"""Operators that summarise: pools, means, softmax."""

from __future__ import annotations

from typing import Any, Final

import tflite

from crest.compiler.graph import Operator
from crest.compiler.operators.checks import (
    Tensors,
    activation,
    check_same_scale,
    check_shape,
    check_types,
    constant_ints,
    need,
    options,
    positive_number,
)
from crest.compiler.operators.windows import check_window_output, window_attributes

# Beyond it the sum of exponentials leaves the format that the reference adds them in.
MAX_SOFTMAX_DEPTH: Final = 4096
# What softmax gives, by type: steps in 1, and zero point.
_SOFTMAX_OUTPUT: Final = {"int8": (256, -128), "int16": (32768, 0)}


def read_pool(raw: Any, op: Operator, tensors: Tensors, where: str) -> dict[str, Any]:
    """AVERAGE_POOL_2D and MAX_POOL_2D."""
    given = options(raw, tflite.Pool2DOptions, where)
    source, out = tensors[op.inputs[0]], tensors[op.outputs[0]]
    kernel = (given.FilterHeight(), given.FilterWidth())
    attributes = window_attributes(given, source, kernel, (1, 1), where)
    need(out.shape[3:] == source.shape[3:], where, "channels of input and output differ")
    check_window_output(attributes, source, out, kernel, where)
    check_same_scale(where, source, out)
    return {**attributes, "kernel": kernel, "activation": activation(given.FusedActivationFunction(), where)}


def read_mean(raw: Any, op: Operator, tensors: Tensors, where: str) -> dict[str, Any]:
    """MEAN over neighbouring axes."""
    source, out = tensors[op.inputs[0]], tensors[op.outputs[0]]
    rank = len(source.shape)
    given = constant_ints(op, 1, tensors, where).reshape(-1)
    need(bool(((given >= -rank) & (given < rank)).all()) and len(given) > 0, where, "axes are malformed")
    axes = sorted({int(axis) % rank for axis in given})
    need(axes[-1] - axes[0] == len(axes) - 1, where, "axes must be neighbours")
    kept = tuple(1 if axis in axes else size for axis, size in enumerate(source.shape))
    dropped = tuple(size for axis, size in enumerate(source.shape) if axis not in axes)
    need(out.shape in (kept, dropped), where, "output shape contradicts the axes")
    check_types(where, source, out)
    return {"axes": tuple(axes)}


def read_softmax(raw: Any, op: Operator, tensors: Tensors, where: str) -> dict[str, Any]:
    """SOFTMAX over the last axis."""
    beta = positive_number(float(options(raw, tflite.SoftmaxOptions, where).Beta()), where, "beta")
    source, out = tensors[op.inputs[0]], tensors[op.outputs[0]]
    need(len(source.shape) > 0, where, "needs an axis")
    check_shape(out, source.shape, where)
    check_types(where, source, out)
    if out.dtype in _SOFTMAX_OUTPUT:
        steps, zero_point = _SOFTMAX_OUTPUT[out.dtype]
        fixed = out.scale == 1 / steps and out.zero_point == zero_point
        need(fixed, where, f"output must have scale 1/{steps} and zero point {zero_point}")
        need(source.shape[-1] < MAX_SOFTMAX_DEPTH, where, f"more than {MAX_SOFTMAX_DEPTH - 1} elements")
    return {"beta": beta}
