"""Lowering of element-wise operators."""

from __future__ import annotations

from typing import Final

import numpy as np

from crest.compiler.fixed_point import activation_range_float, activation_range_int8, quantize_multiplier
from crest.compiler.graph import Graph, Operator
from crest.compiler.kernel_call import KernelCall, c_float
from crest.errors import ModelError

_ADD_LEFT_SHIFT: Final = 20


def add_s8(graph: Graph, op: Operator) -> KernelCall:
    """Element-wise sum; both operands are brought to twice the larger scale, as in the reference."""
    left, right, out = (graph.tensors[i] for i in (*op.inputs, *op.outputs))
    common = 2.0 * max(left.scale, right.scale)
    left_multiplier, left_shift = quantize_multiplier(left.scale / common)
    right_multiplier, right_shift = quantize_multiplier(right.scale / common)
    out_multiplier, out_shift = quantize_multiplier(common / ((1 << _ADD_LEFT_SHIFT) * out.scale))
    if out_shift > 0:
        raise ModelError(f"{graph.name}: ADD {out.name}: output scale is too small for its inputs")
    low, high = activation_range_int8(op.attributes["activation"], out.scale, out.zero_point)
    return KernelCall(
        "crest_add_s8",
        ("{params}", "{in0}", "{in1}", "{out}", str(out.elements)),
        params=(
            "crest_add_s8_params",
            {
                "left_zero": left.zero_point, "right_zero": right.zero_point, "out_zero": out.zero_point,
                "left_multiplier": left_multiplier, "left_shift": left_shift,
                "right_multiplier": right_multiplier, "right_shift": right_shift,
                "out_multiplier": out_multiplier, "out_shift": out_shift, "act_min": low, "act_max": high,
            },
        ),
    )  # fmt: skip


def relu_s8(graph: Graph, op: Operator) -> KernelCall:
    """Rectifier with a change of scale."""
    source, out = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    multiplier, shift = quantize_multiplier(float(np.float32(source.scale) / np.float32(out.scale)))
    low, high = activation_range_int8(op.attributes["activation"], out.scale, out.zero_point)
    fields = {
        "in_zero": source.zero_point, "out_zero": out.zero_point, "multiplier": multiplier, "shift": shift,
        "act_min": low, "act_max": high,
    }  # fmt: skip
    return KernelCall(
        "crest_relu_s8", ("{params}", "{in0}", "{out}", str(out.elements)), params=("crest_relu_s8_params", fields)
    )


def add_f32(graph: Graph, op: Operator) -> KernelCall:
    """Element-wise sum."""
    out = graph.tensors[op.outputs[0]]
    bounds = (c_float(b) for b in activation_range_float(op.attributes["activation"]))
    return KernelCall("crest_add_f32", ("{in0}", "{in1}", "{out}", str(out.elements), *bounds))


def relu_f32(graph: Graph, op: Operator) -> KernelCall:
    """Rectifier."""
    out = graph.tensors[op.outputs[0]]
    high = c_float(activation_range_float(op.attributes["activation"])[1])
    return KernelCall("crest_relu_f32", ("{in0}", "{out}", str(out.elements), high))
