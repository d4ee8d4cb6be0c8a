"""Operators become calls of kernels: constants in the kernels' layout, parameters, scratch memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from crest.compiler.fixed_point import (
    INT8_MIN,
    activation_range_float,
    activation_range_int8,
    quantize_multiplier,
)
from crest.compiler.graph import ELEMENT_BYTES, Graph, Operator, Tensor, output_channels
from crest.compiler.kernel_call import Constant, KernelCall, c_float, window_fields
from crest.compiler.lowering_averages import average_pool, max_pool, mean_f32, mean_s8, softmax_f32, softmax_s8
from crest.errors import ModelError

_ADD_LEFT_SHIFT: Final = 20
# Layers whose sums, shifted to the left where a channel asks for it, stay below this take the quick requantization.
_NARROW_SUM_LIMIT: Final = 1 << 30


def lower(graph: Graph, op: Operator) -> KernelCall | None:
    """The kernel call of an operator; None for a view, which needs no code."""
    if op.kind == "VIEW":
        return None
    dtype = graph.tensors[op.outputs[0]].dtype
    try:
        lowering = _LOWERINGS[op.kind, dtype]
    except KeyError:
        raise ModelError(f"{graph.name}: no {dtype} kernel for {op.kind}") from None
    return lowering(graph, op)


def _dense_window(units: int, depth: int) -> dict[str, int]:
    names = ("in_h", "in_w", "out_h", "out_w", "k_h", "k_w", "stride_h", "stride_w", "dilation_h", "dilation_w")
    return {**dict.fromkeys(names, 1), "in_c": depth, "out_c": units, "pad_top": 0, "pad_left": 0}


def _bias(graph: Graph, op: Operator, units: int, dtype: str) -> NDArray[Any]:
    if len(op.inputs) > 2 and op.inputs[2] >= 0:
        data = graph.tensors[op.inputs[2]].data
        assert data is not None
        return data.reshape(units)
    return np.zeros(units, dtype=dtype)


def _channels(graph: Graph, op: Operator) -> tuple[NDArray[np.int64], bool]:
    """Rows of (bias with the input zero point in it, multiplier, shift) by output channel; whether sums are wide."""
    source, filters, out = (graph.tensors[i] for i in (op.inputs[0], op.inputs[1], op.outputs[0]))
    assert filters.data is not None
    units = output_channels(op.kind, filters)
    by_unit = np.moveaxis(filters.data, 3 if op.kind == "DEPTHWISE_CONV_2D" else 0, 0).reshape(units, -1)
    weights = by_unit.astype(np.int64)
    bias = _bias(graph, op, units, "int32").astype(np.int64) - source.zero_point * weights.sum(axis=1)
    factors = [source.scale * scale / out.scale for scale in _filter_scales(filters, units)]
    requantization = np.array([quantize_multiplier(factor) for factor in factors], dtype=np.int64).reshape(units, 2)
    largest = np.abs(bias) + -INT8_MIN * np.abs(weights).sum(axis=1)
    wide = bool((largest >= _NARROW_SUM_LIMIT >> np.maximum(requantization[:, 1], 0)).any())
    # The kernels add modulo 2**32, as the reference does.
    bias = (bias + (1 << 31)) % (1 << 32) - (1 << 31)
    return np.column_stack([bias, requantization]), wide


def _weighted_s8(graph: Graph, op: Operator, window: dict[str, int], kernel: str) -> dict[str, Any]:
    source, filters, out = (graph.tensors[i] for i in (op.inputs[0], op.inputs[1], op.outputs[0]))
    assert filters.data is not None
    low, high = activation_range_int8(op.attributes["activation"], out.scale, out.zero_point)
    channels, wide = _channels(graph, op)
    return {
        "function": f"crest_{kernel}_wide_s8" if wide else f"crest_{kernel}_s8",
        "params": (
            "crest_conv2d_s8_params",
            {
                "window": window, "in_zero": source.zero_point, "out_zero": out.zero_point,
                "act_min": low, "act_max": high, "weights": "@weights", "channels": "@channels",
            },
        ),
        "constants": (
            Constant("weights", "int8_t", filters.data.reshape(-1)),
            Constant("channels", "crest_channel", channels),
        ),
        "weight_bytes": filters.size_bytes + 4 * output_channels(op.kind, filters),
    }  # fmt: skip


def _filter_scales(filters: Tensor, units: int) -> list[float]:
    assert filters.quantization is not None
    scales = list(filters.quantization.scale)
    return scales if len(scales) == units else scales * units


def _conv_s8(graph: Graph, op: Operator) -> KernelCall:
    source, filters, out = (graph.tensors[i] for i in (op.inputs[0], op.inputs[1], op.outputs[0]))
    kernel = (filters.shape[1], filters.shape[2])
    window = window_fields(source, out, kernel, op.attributes)
    in_place = kernel[0] == 1 and op.attributes["dilation"][1] == 1 and not any(op.attributes["padding"])
    return KernelCall(
        arguments=("{params}", "{in0}", "{out}", "0" if in_place else "{scratch}"),
        scratch_bytes=0 if in_place else 2 * kernel[0] * kernel[1] * source.shape[3],
        **_weighted_s8(graph, op, window, "conv2d"),
    )


def _depthwise_s8(graph: Graph, op: Operator) -> KernelCall:
    source, filters, out = (graph.tensors[i] for i in (op.inputs[0], op.inputs[1], op.outputs[0]))
    kernel = (filters.shape[1], filters.shape[2])
    return KernelCall(
        arguments=("{params}", "{in0}", "{out}", "{scratch}"),
        scratch_bytes=8 * kernel[0] * kernel[1] + source.shape[3],
        **_weighted_s8(graph, op, window_fields(source, out, kernel, op.attributes), "depthwise"),
    )


def _fully_connected_s8(graph: Graph, op: Operator) -> KernelCall:
    window = _dense_window(*graph.tensors[op.inputs[1]].shape)
    return KernelCall(arguments=("{params}", "{in0}", "{out}"), **_weighted_s8(graph, op, window, "dense"))


def _add_s8(graph: Graph, op: Operator) -> KernelCall:
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


def _relu_s8(graph: Graph, op: Operator) -> KernelCall:
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


def _weighted_f32(graph: Graph, op: Operator, window: dict[str, int], function: str = "crest_conv2d_f32") -> KernelCall:
    filters = graph.tensors[op.inputs[1]]
    assert filters.data is not None
    low, high = activation_range_float(op.attributes["activation"])
    units = output_channels(op.kind, filters)
    fields = {"window": window, "act_min": low, "act_max": high, "weights": "@weights", "bias": "@bias"}
    return KernelCall(
        function,
        ("{params}", "{in0}", "{out}"),
        params=("crest_conv2d_f32_params", fields),
        constants=(
            Constant("weights", "float", filters.data.reshape(-1)),
            Constant("bias", "float", _bias(graph, op, units, "float32")),
        ),
        weight_bytes=filters.size_bytes + 4 * units,
    )


def _conv_f32(graph: Graph, op: Operator) -> KernelCall:
    source, filters, out = (graph.tensors[i] for i in (op.inputs[0], op.inputs[1], op.outputs[0]))
    return _weighted_f32(graph, op, window_fields(source, out, (filters.shape[1], filters.shape[2]), op.attributes))


def _depthwise_f32(graph: Graph, op: Operator) -> KernelCall:
    source, filters, out = (graph.tensors[i] for i in (op.inputs[0], op.inputs[1], op.outputs[0]))
    window = window_fields(source, out, (filters.shape[1], filters.shape[2]), op.attributes)
    return _weighted_f32(graph, op, window, "crest_depthwise_f32")


def _fully_connected_f32(graph: Graph, op: Operator) -> KernelCall:
    return _weighted_f32(graph, op, _dense_window(*graph.tensors[op.inputs[1]].shape))


def _add_f32(graph: Graph, op: Operator) -> KernelCall:
    out = graph.tensors[op.outputs[0]]
    bounds = (c_float(b) for b in activation_range_float(op.attributes["activation"]))
    return KernelCall("crest_add_f32", ("{in0}", "{in1}", "{out}", str(out.elements), *bounds))


def _relu_f32(graph: Graph, op: Operator) -> KernelCall:
    out = graph.tensors[op.outputs[0]]
    high = c_float(activation_range_float(op.attributes["activation"])[1])
    return KernelCall("crest_relu_f32", ("{in0}", "{out}", str(out.elements), high))


def _four(values: tuple[int, ...], fill: int) -> list[int]:
    if len(values) > 4:
        raise ModelError(f"tensors of rank {len(values)} are not supported (up to 4 are)")
    return [fill] * (4 - len(values)) + list(values)


def _slice(graph: Graph, op: Operator) -> KernelCall:
    source = graph.tensors[op.inputs[0]]
    shape = _four(source.shape, 1)
    begin = np.array(_four(op.attributes["begin"], 0))
    pitch = np.array([int(np.prod(shape[axis + 1 :])) for axis in range(4)])
    fields = {
        "count": _four(op.attributes["count"], 1),
        "stride": [int(s) for s in np.array(_four(op.attributes["strides"], 1)) * pitch],
        "offset": int((begin * pitch).sum()),
        "element_bytes": ELEMENT_BYTES[source.dtype],
    }
    return KernelCall("crest_slice", ("{params}", "{in0}", "{out}"), params=("crest_slice_params", fields))


def _pad(graph: Graph, op: Operator) -> KernelCall:
    source, out = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    fields = {
        "in": _four(source.shape, 1),
        "before": _four(tuple(before for before, _ in op.attributes["paddings"]), 0),
        "out": _four(out.shape, 1),
        "element_bytes": ELEMENT_BYTES[out.dtype],
        "fill": out.zero_point,
    }
    return KernelCall("crest_pad", ("{params}", "{in0}", "{out}"), params=("crest_pad_params", fields))


_LOWERINGS: Final[dict[tuple[str, str], Callable[[Graph, Operator], KernelCall]]] = {
    ("ADD", "int8"): _add_s8,
    ("ADD", "float32"): _add_f32,
    ("AVERAGE_POOL_2D", "int8"): average_pool,
    ("AVERAGE_POOL_2D", "float32"): average_pool,
    ("CONV_2D", "int8"): _conv_s8,
    ("CONV_2D", "float32"): _conv_f32,
    ("DEPTHWISE_CONV_2D", "int8"): _depthwise_s8,
    ("DEPTHWISE_CONV_2D", "float32"): _depthwise_f32,
    ("FULLY_CONNECTED", "int8"): _fully_connected_s8,
    ("FULLY_CONNECTED", "float32"): _fully_connected_f32,
    ("MAX_POOL_2D", "int8"): max_pool,
    ("MAX_POOL_2D", "float32"): max_pool,
    ("MEAN", "int8"): mean_s8,
    ("MEAN", "float32"): mean_f32,
    ("PAD", "int8"): _pad,
    ("PAD", "float32"): _pad,
    ("RELU", "int8"): _relu_s8,
    ("RELU", "float32"): _relu_f32,
    ("SOFTMAX", "int8"): softmax_s8,
    ("SOFTMAX", "float32"): softmax_f32,
    ("STRIDED_SLICE", "int8"): _slice,
    ("STRIDED_SLICE", "float32"): _slice,
}
