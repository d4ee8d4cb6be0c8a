"""Operators that work element by element: sums and products, activations, changes of scale and type."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import tflite

from crest.compiler.graph import Operator
from crest.compiler.operators.checks import (
    DYNAMIC_BATCH_HINT,
    Tensors,
    activation,
    check_quantized,
    check_shape,
    check_types,
    need,
    options,
)
from crest.errors import ModelError

_BINARY_OPTIONS: Final = {"ADD": tflite.AddOptions, "SUB": tflite.SubOptions, "MUL": tflite.MulOptions}
# The only output quantization of these operators: they map onto (0, 1) and (-1, 1).
_FIXED_OUTPUTS: Final = {"LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0)}


def read_binary(raw: Any, op: Operator, tensors: Tensors, where: str) -> dict[str, Any]:
    """ADD, SUB and MUL, whose operands may differ in shape and may be constant."""
    given = options(raw, _BINARY_OPTIONS[op.kind], where)
    left, right, out = (tensors[i] for i in (*op.inputs, *op.outputs))
    try:
        shape = tuple(int(size) for size in np.broadcast_shapes(left.shape, right.shape))
    except ValueError:
        raise ModelError(
            f"{where}: shapes {list(left.shape)} and {list(right.shape)} do not broadcast", hint=DYNAMIC_BATCH_HINT
        ) from None
    check_shape(out, shape, where)
    check_types(where, left, right, out)
    return {"activation": activation(given.FusedActivationFunction(), where)}


def read_activation(raw: Any, op: Operator, tensors: Tensors, where: str) -> dict[str, Any]:
    """RELU, RELU6, LOGISTIC, TANH."""
    source, out = tensors[op.inputs[0]], tensors[op.outputs[0]]
    check_shape(out, source.shape, where)
    check_types(where, source, out)
    if out.dtype == "int8" and op.kind in _FIXED_OUTPUTS:
        scale, zero_point = _FIXED_OUTPUTS[op.kind]
        need(
            out.scale == scale and out.zero_point == zero_point,
            where,
            f"output must have scale 1/{round(1 / scale)} and zero point {zero_point}",
        )
    return {}


def read_hard_swish(raw: Any, op: Operator, tensors: Tensors, where: str) -> dict[str, Any]:
    """HARD_SWISH, whose int8 arithmetic knows no factor above 128 between the scales."""
    attributes = read_activation(raw, op, tensors, where)
    source, out = tensors[op.inputs[0]], tensors[op.outputs[0]]
    need(out.dtype != "int8" or source.scale < 127 * out.scale, where, "output scale is too small for its input")
    return attributes


def read_leaky_relu(raw: Any, op: Operator, tensors: Tensors, where: str) -> dict[str, Any]:
    """LEAKY_RELU."""
    alpha = float(options(raw, tflite.LeakyReluOptions, where).Alpha())
    need(math.isfinite(alpha) and alpha >= 0, where, "alpha must not be negative")
    return {**read_activation(raw, op, tensors, where), "alpha": alpha}


def read_quantize(raw: Any, op: Operator, tensors: Tensors, where: str) -> dict[str, Any]:
    """QUANTIZE: float32 or int8 to int8."""
    source, out = tensors[op.inputs[0]], tensors[op.outputs[0]]
    check_shape(out, source.shape, where)
    if source.dtype != "float32":
        check_quantized(source, where)
    check_quantized(out, where)
    return {}


def read_dequantize(raw: Any, op: Operator, tensors: Tensors, where: str) -> dict[str, Any]:
    """DEQUANTIZE: int8 to float32."""
    source, out = tensors[op.inputs[0]], tensors[op.outputs[0]]
    check_shape(out, source.shape, where)
    check_quantized(source, where)
    need(out.dtype == "float32", where, f"output of type {out.dtype}")
    return {}
