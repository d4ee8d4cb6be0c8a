"""Lowering of what summarises its input: pools, means, softmax."""

from __future__ import annotations

import math
from typing import Final

from crest.compiler.fixed_point import activation_range_float, activation_range_int8, quantize_multiplier
from crest.compiler.graph import Graph, Operator
from crest.compiler.kernel_call import KernelCall, c_float, window_fields
from crest.errors import ModelError

_SUFFIX: Final = {"int8": "s8", "float32": "f32"}
# Softmax scales differences of inputs to Q5.26.
_DIFFERENCE_INTEGER_BITS: Final = 5


def average_pool(graph: Graph, op: Operator) -> KernelCall:
    """Average of each window, padding left out."""
    return _pool("crest_average_pool", graph, op)


def max_pool(graph: Graph, op: Operator) -> KernelCall:
    """Largest element of each window."""
    return _pool("crest_max_pool", graph, op)


def _pool(function: str, graph: Graph, op: Operator) -> KernelCall:
    source, out = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    window = window_fields(source, out, op.attributes["kernel"], op.attributes)
    activation = op.attributes["activation"]
    if out.dtype == "int8":
        bounds = [str(bound) for bound in activation_range_int8(activation, out.scale, out.zero_point)]
    else:
        bounds = [c_float(bound) for bound in activation_range_float(activation)]
    arguments = ("{params}", "{in0}", "{out}", *bounds)
    return KernelCall(f"{function}_{_SUFFIX[out.dtype]}", arguments, params=("crest_window", window))


def mean_s8(graph: Graph, op: Operator) -> KernelCall:
    """Mean over neighbouring axes; the reference folds the division into the multiplier, truncating."""
    source, out = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    outer, count, inner = _extents(source.shape, op)
    multiplier, shift = quantize_multiplier(source.scale / out.scale)
    headroom = min(count.bit_length() - 1, 32, 31 + shift)
    fields = {
        "outer": outer, "count": count, "inner": inner, "in_zero": source.zero_point, "out_zero": out.zero_point,
        "multiplier": (multiplier << headroom) // count, "shift": shift - headroom,
    }  # fmt: skip
    return KernelCall("crest_mean_s8", ("{params}", "{in0}", "{out}"), params=("crest_mean_s8_params", fields))


def mean_f32(graph: Graph, op: Operator) -> KernelCall:
    """Mean over neighbouring axes."""
    extents = _extents(graph.tensors[op.inputs[0]].shape, op)
    return KernelCall("crest_mean_f32", ("{in0}", "{out}", *map(str, extents)))


def _extents(shape: tuple[int, ...], op: Operator) -> tuple[int, int, int]:
    """Elements before, within and behind the axes that are averaged."""
    axes = op.attributes["axes"]
    return math.prod(shape[: axes[0]]), math.prod(shape[axes[0] : axes[-1] + 1]), math.prod(shape[axes[-1] + 1 :])


def softmax_s8(graph: Graph, op: Operator) -> KernelCall:
    """Softmax over the last axis in fixed point."""
    source = graph.tensors[op.inputs[0]]
    fraction_bits = 31 - _DIFFERENCE_INTEGER_BITS
    multiplier, shift = quantize_multiplier(op.attributes["beta"] * source.scale * (1 << fraction_bits))
    if shift < 0:
        raise ModelError(f"input scale {source.scale} is too small")
    radius = (((1 << _DIFFERENCE_INTEGER_BITS) - 1) << fraction_bits) >> shift
    depth = source.shape[-1]
    fields = {
        "outer": source.elements // depth, "depth": depth, "multiplier": multiplier, "shift": shift,
        "difference_min": -radius,
    }  # fmt: skip
    return KernelCall("crest_softmax_s8", ("{params}", "{in0}", "{out}"), params=("crest_softmax_s8_params", fields))


def softmax_f32(graph: Graph, op: Operator) -> KernelCall:
    """Softmax over the last axis."""
    source = graph.tensors[op.inputs[0]]
    depth = source.shape[-1]
    sizes = (str(source.elements // depth), str(depth))
    return KernelCall("crest_softmax_f32", ("{in0}", "{out}", *sizes, c_float(op.attributes["beta"])))
