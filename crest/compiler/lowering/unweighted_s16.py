"""Lowering of operators without weights on int16 activations, whose zero points are 0."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from crest.compiler.fixed_point import INT16_MAX, INT16_MIN, activation_range_int16, quantize_multiplier
from crest.compiler.graph import Graph, Operator
from crest.compiler.kernel_call import Constant, KernelCall, window_fields
from crest.compiler.lowering.binary import broadcast
from crest.errors import ModelError

_Floats = NDArray[np.float32]
_ADD_LEFT_SHIFT: Final = 15
_INT16_STEPS: Final = INT16_MAX - INT16_MIN
_TABLE_STEPS: Final = 512
# Softmax looks exponentials up between this and 0.
_SMALLEST_EXPONENT: Final = -10.0
# Differences of 17 bits are shifted within 32.
_LARGEST_SOFTMAX_SHIFT: Final = 14


def sum_s16(graph: Graph, op: Operator) -> KernelCall:
    """ADD and SUB; both operands are brought to twice the larger scale, as in the reference."""
    left, right, out = (graph.tensors[i] for i in (*op.inputs, *op.outputs))
    common = 2.0 * max(left.scale, right.scale)
    left_multiplier, left_shift = quantize_multiplier(left.scale / common)
    right_multiplier, right_shift = quantize_multiplier(right.scale / common)
    out_multiplier, out_shift = quantize_multiplier(common / ((1 << _ADD_LEFT_SHIFT) * out.scale))
    if out_shift > 0:
        raise ModelError("output scale is too small for its inputs")
    low, high = activation_range_int16(op.attributes["activation"], out.scale)
    fields = {
        "left_multiplier": left_multiplier, "left_shift": -left_shift, "right_multiplier": right_multiplier,
        "right_shift": -right_shift, "right_sign": -1 if op.kind == "SUB" else 1, "out_multiplier": out_multiplier,
        "out_shift": -out_shift, "act_min": low, "act_max": high,
    }  # fmt: skip
    return broadcast("crest_add_s16", graph, op, ("crest_add_s16_params", fields))


def mul_s16(graph: Graph, op: Operator) -> KernelCall:
    """MUL; the product is brought to the scale of the output."""
    left, right, out = (graph.tensors[i] for i in (*op.inputs, *op.outputs))
    multiplier, shift = quantize_multiplier(left.scale * right.scale / out.scale)
    if shift > 0:
        raise ModelError("output scale is too small for its inputs")
    low, high = activation_range_int16(op.attributes["activation"], out.scale)
    fields = {"multiplier": multiplier, "shift": -shift, "act_min": low, "act_max": high}
    return broadcast("crest_mul_s16", graph, op, ("crest_mul_s16_params", fields))


def relu_s16(graph: Graph, op: Operator) -> KernelCall:
    """Rectifier with a change of scale."""
    source, out = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    multiplier, shift = quantize_multiplier(source.scale / out.scale)
    high = activation_range_int16(op.kind.lower(), out.scale)[1]
    return KernelCall("crest_relu_s16", ("{in0}", "{out}", *map(str, (out.elements, multiplier, shift, high))))


def average_pool_s16(graph: Graph, op: Operator) -> KernelCall:
    """Average of each window, padding left out."""
    return _pool("crest_average_pool_s16", graph, op)


def max_pool_s16(graph: Graph, op: Operator) -> KernelCall:
    """Largest element of each window."""
    return _pool("crest_max_pool_s16", graph, op)


def _pool(function: str, graph: Graph, op: Operator) -> KernelCall:
    source, out = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    window = window_fields(source, out, op.attributes["kernel"], op.attributes)
    bounds = map(str, activation_range_int16(op.attributes["activation"], out.scale))
    return KernelCall(function, ("{params}", "{in0}", "{out}", *bounds), params=("crest_window", window))


def mean_s16(graph: Graph, op: Operator) -> KernelCall:
    """Mean over neighbouring axes; the reference folds the division into the multiplier, truncating."""
    source, out = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    axes = op.attributes["axes"]
    shape = source.shape
    outer, count, inner = (
        math.prod(part) for part in (shape[: axes[0]], shape[axes[0] : axes[-1] + 1], shape[axes[-1] + 1 :])
    )
    if count > (1 << 31) // -INT16_MIN:
        raise ModelError(f"the sum of {count} elements may leave 32 bits")
    multiplier, shift = quantize_multiplier(source.scale / out.scale)
    headroom = min(count.bit_length() - 1, 32, 31 + shift)
    arguments = (outer, count, inner, (multiplier << headroom) // count, shift - headroom)
    return KernelCall("crest_mean_s16", ("{in0}", "{out}", *map(str, arguments)))


def softmax_s16(graph: Graph, op: Operator) -> KernelCall:
    """Softmax over the last axis by tables of exp(x) and 1 / (1 + x)."""
    source = graph.tensors[op.inputs[0]]
    step = -_SMALLEST_EXPONENT / _INT16_STEPS
    multiplier, shift = quantize_multiplier(source.scale * op.attributes["beta"] / step)
    if shift > _LARGEST_SOFTMAX_SHIFT:
        raise ModelError(f"input scale {source.scale} is too large")
    depth = source.shape[-1]
    fields = {
        "outer": source.elements // depth, "depth": depth, "multiplier": multiplier, "shift": shift,
        "exponentials": "@exponentials", "reciprocals": "@reciprocals",
    }  # fmt: skip
    return KernelCall(
        "crest_softmax_s16",
        ("{params}", "{in0}", "{out}"),
        params=("crest_softmax_s16_params", fields),
        constants=(
            Constant("exponentials", "int16_t", _table(_exponential, _SMALLEST_EXPONENT, 0.0)),
            Constant("reciprocals", "int16_t", _table(_reciprocal, 0.0, 1.0)),
        ),
    )


def _table(function: Callable[[_Floats], _Floats], low: float, high: float) -> NDArray[np.int16]:
    """Samples of a function with values of -1 to 1, moved by half of what interpolation errs by between them.

    In single precision, as the reference makes it: some samples are rounded otherwise in double.
    """
    step = np.float32((high - low) / _TABLE_STEPS)
    at = np.float32(low) + np.arange(_TABLE_STEPS + 1, dtype=np.float32) * step
    scaled = function(at) * np.float32((_INT16_STEPS + 1) / 2)
    samples = _rounded(scaled)
    between = _rounded((scaled[1:] + samples[:-1]) / np.float32(2))
    exact = _rounded(function(at[:-1] + step / np.float32(2)) * np.float32((_INT16_STEPS + 1) / 2))
    samples[:-1] -= _rounded((between - exact) / np.float32(2))
    return samples.clip(INT16_MIN, INT16_MAX).astype(np.int16)


def _exponential(x: _Floats) -> _Floats:
    return np.exp(x.astype(np.float64)).astype(np.float32)


def _reciprocal(x: _Floats) -> _Floats:
    return np.float32(1) / (np.float32(1) + x)


def _rounded(values: _Floats) -> _Floats:
    """Nearest integers, halves away from zero."""
    rounded: _Floats = np.trunc(values + np.copysign(np.float32(0.5), values))
    return rounded
