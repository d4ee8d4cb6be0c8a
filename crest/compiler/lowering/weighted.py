"""Lowering of layers with weights: convolutions and dense layers, int8 and float32."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from crest.compiler.fixed_point import (
    INT8_MIN,
    activation_range_float,
    activation_range_int8,
    quantize_multiplier,
)
from crest.compiler.graph import Graph, Operator, Tensor, output_channels
from crest.compiler.kernel_call import Constant, KernelCall, window_fields

# Layers whose sums, shifted to the left where a channel asks for it, stay below this take the quick requantization.
_NARROW_SUM_LIMIT: Final = 1 << 30


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


def conv_s8(graph: Graph, op: Operator) -> KernelCall:
    """Convolution; patches that lie contiguously in the input are read in place."""
    source, filters, out = (graph.tensors[i] for i in (op.inputs[0], op.inputs[1], op.outputs[0]))
    kernel = (filters.shape[1], filters.shape[2])
    window = window_fields(source, out, kernel, op.attributes)
    in_place = kernel[0] == 1 and op.attributes["dilation"][1] == 1 and not any(op.attributes["padding"])
    return KernelCall(
        arguments=("{params}", "{in0}", "{out}", "0" if in_place else "{scratch}"),
        scratch_bytes=0 if in_place else 2 * kernel[0] * kernel[1] * source.shape[3],
        **_weighted_s8(graph, op, window, "conv2d"),
    )


def depthwise_s8(graph: Graph, op: Operator) -> KernelCall:
    """Depthwise convolution."""
    source, filters, out = (graph.tensors[i] for i in (op.inputs[0], op.inputs[1], op.outputs[0]))
    kernel = (filters.shape[1], filters.shape[2])
    return KernelCall(
        arguments=("{params}", "{in0}", "{out}", "{scratch}"),
        scratch_bytes=8 * kernel[0] * kernel[1] + source.shape[3],
        **_weighted_s8(graph, op, window_fields(source, out, kernel, op.attributes), "depthwise"),
    )


def fully_connected_s8(graph: Graph, op: Operator) -> KernelCall:
    """Dense layer."""
    window = _dense_window(*graph.tensors[op.inputs[1]].shape)
    return KernelCall(arguments=("{params}", "{in0}", "{out}"), **_weighted_s8(graph, op, window, "dense"))


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


def conv_f32(graph: Graph, op: Operator) -> KernelCall:
    """Convolution."""
    source, filters, out = (graph.tensors[i] for i in (op.inputs[0], op.inputs[1], op.outputs[0]))
    return _weighted_f32(graph, op, window_fields(source, out, (filters.shape[1], filters.shape[2]), op.attributes))


def depthwise_f32(graph: Graph, op: Operator) -> KernelCall:
    """Depthwise convolution."""
    source, filters, out = (graph.tensors[i] for i in (op.inputs[0], op.inputs[1], op.outputs[0]))
    window = window_fields(source, out, (filters.shape[1], filters.shape[2]), op.attributes)
    return _weighted_f32(graph, op, window, "crest_depthwise_f32")


def fully_connected_f32(graph: Graph, op: Operator) -> KernelCall:
    """Dense layer."""
    return _weighted_f32(graph, op, _dense_window(*graph.tensors[op.inputs[1]].shape))
