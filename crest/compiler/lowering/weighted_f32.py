"""Lowering of layers with weights, float32."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from crest.compiler.fixed_point import activation_range_float
from crest.compiler.graph import Graph, Operator, output_channels
from crest.compiler.kernel_call import Constant, KernelCall, dense_window, window_fields


def conv_f32(graph: Graph, op: Operator) -> KernelCall:
    """Convolution."""
    return _weighted(graph, op, _window(graph, op), "crest_conv2d_f32")


def depthwise_f32(graph: Graph, op: Operator) -> KernelCall:
    """Depthwise convolution."""
    return _weighted(graph, op, _window(graph, op), "crest_depthwise_f32")


def fully_connected_f32(graph: Graph, op: Operator) -> KernelCall:
    """Dense layer."""
    return _weighted(graph, op, dense_window(*graph.tensors[op.inputs[1]].shape), "crest_conv2d_f32")


def _window(graph: Graph, op: Operator) -> dict[str, int]:
    source, filters, out = (graph.tensors[i] for i in (op.inputs[0], op.inputs[1], op.outputs[0]))
    return window_fields(source, out, (filters.shape[1], filters.shape[2]), op.attributes)


def _weighted(graph: Graph, op: Operator, window: dict[str, int], function: str) -> KernelCall:
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
            Constant("bias", "float", _bias(graph, op, units)),
        ),
        weight_bytes=filters.size_bytes + 4 * units,
    )


def _bias(graph: Graph, op: Operator, units: int) -> NDArray[Any]:
    if len(op.inputs) > 2 and op.inputs[2] >= 0:
        data = graph.tensors[op.inputs[2]].data
        assert data is not None
        return data.reshape(units)
    return np.zeros(units, dtype=np.float32)
