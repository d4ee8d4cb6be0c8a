"""Finds channels that hold the same value at every position whatever the input is.

A channel of a layer whose weights are zero is the constant that its bias is requantized to; layers that read nothing
but constants are constant in turn. A constant read by a window that reaches beyond its input is one only where it
equals the zero that lies there.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from crest.compiler.fixed_point import activation_range_int8, quantize_multiplier, requantize
from crest.compiler.graph import Graph, Operator, requantization_factors
from crest.compiler.passes.channels import (
    channel_source,
    channels_of,
    computes_int8,
    is_padded,
    is_weighted,
    weight_matrix,
)
from crest.compiler.passes.kinds import POOLS, RESHAPES, SLICES

VARIES: Final = 1 << 8
"""Stands for a channel that is no constant; beyond every int8."""

Channels = NDArray[np.int64]


def constant_channels(graph: Graph) -> dict[int, Channels]:
    """By activation tensor, the value of each channel of the last axis, or ``VARIES``."""
    found = {index: np.full(channels_of(graph, index), VARIES) for index in graph.inputs}
    for op in graph.operators:
        found |= {index: np.full(channels_of(graph, index), VARIES) for index in op.outputs}
        out = op.outputs[0]
        if computes_int8(graph, op):
            found[out] = _of_operator(graph, op, found, found[out])
    return found


def foldable(graph: Graph, op: Operator, constants: Channels) -> NDArray[np.bool_]:
    """By input channel, whether what the layer makes of it can move into the bias."""
    safe: NDArray[np.bool_] = constants != VARIES
    if is_padded(op):
        safe &= constants == graph.tensors[op.inputs[0]].zero_point
    return safe


def offsets(graph: Graph, op: Operator, constants: Channels) -> Channels:
    """By input channel, what its weights are multiplied with; 0 where it is not foldable."""
    return np.where(foldable(graph, op, constants), constants - graph.tensors[op.inputs[0]].zero_point, 0)


def _of_operator(graph: Graph, op: Operator, found: dict[int, Channels], varies: Channels) -> Channels:
    if is_weighted(graph, op):
        return _weighted(graph, op, found[op.inputs[0]])
    if op.kind == "DEPTHWISE_CONV_2D":
        return _depthwise(graph, op, found[op.inputs[0]])
    source = channel_source(graph, op)
    if source is None:
        return varies
    values = found[op.inputs[0]][source]
    zero = graph.tensors[op.outputs[0]].zero_point
    if op.kind in (*RESHAPES, *SLICES):
        return values
    if op.kind == "PAD":
        return np.where(values == zero, values, VARIES)
    if op.kind in POOLS:
        low, high = activation_range_int8(op.attributes["activation"], graph.tensors[op.outputs[0]].scale, zero)
        return np.where(values == VARIES, VARIES, np.clip(values, low, high))
    return varies


def _weighted(graph: Graph, op: Operator, constants: Channels) -> Channels:
    weights = weight_matrix(graph, op)
    repeats = weights.shape[1] // len(constants)
    varying = np.tile(~foldable(graph, op, constants), repeats)
    sums = weights @ np.tile(offsets(graph, op, constants), repeats)
    return _finished(graph, op, sums, (weights[:, varying] == 0).all(axis=1))


def _depthwise(graph: Graph, op: Operator, constants: Channels) -> Channels:
    filters = graph.tensors[op.inputs[1]].data
    assert filters is not None
    weights = filters.reshape(-1, filters.shape[-1]).astype(np.int64)
    source = channel_source(graph, op)
    sums = weights.sum(axis=0) * offsets(graph, op, constants)[source]
    return _finished(graph, op, sums, foldable(graph, op, constants)[source] | (weights == 0).all(axis=0))


def _finished(graph: Graph, op: Operator, sums: Channels, constant: NDArray[np.bool_]) -> Channels:
    """Output values of the channels that are constant, by the arithmetic of the kernels."""
    source, filters, out = (graph.tensors[i] for i in (op.inputs[0], op.inputs[1], op.outputs[0]))
    low, high = activation_range_int8(op.attributes["activation"], out.scale, out.zero_point)
    bias = bias_of(graph, op, len(sums))
    values = np.full(len(sums), VARIES)
    for unit, factor in enumerate(requantization_factors(source, filters, out, len(sums))):
        if constant[unit]:
            value = requantize(int(bias[unit] + sums[unit]), *quantize_multiplier(factor)) + out.zero_point
            values[unit] = min(max(value, low), high)
    return values


def bias_of(graph: Graph, op: Operator, units: int) -> Channels:
    """The bias of a layer; zeros where it has none."""
    data = graph.tensors[op.inputs[2]].data if len(op.inputs) > 2 and op.inputs[2] >= 0 else None
    return np.zeros(units, np.int64) if data is None else data.reshape(units).astype(np.int64)
