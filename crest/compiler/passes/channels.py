"""How channels, the last axis of a tensor, travel through operators: what passes over channels need to know."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crest.compiler.graph import Graph, Operator
from crest.compiler.passes.kinds import POOLS, RESHAPES, SLICES, is_elementwise


def channels_of(graph: Graph, index: int) -> int:
    """Length of a tensor's last axis."""
    shape = graph.tensors[index].shape
    return shape[-1] if shape else 1


def computes_int8(graph: Graph, op: Operator) -> bool:
    """Whether all activations that an operator reads and writes are int8."""
    return all(graph.tensors[index].dtype == "int8" for index in (*graph.activations(op), *op.outputs))


def is_weighted(graph: Graph, op: Operator) -> bool:
    """Whether every output channel is a sum over input channels, whole pixels at a time."""
    if op.kind not in ("CONV_2D", "FULLY_CONNECTED"):
        return False
    units, *taps = graph.tensors[op.inputs[1]].shape
    return units == channels_of(graph, op.outputs[0]) and prod(taps) % channels_of(graph, op.inputs[0]) == 0


def weight_matrix(graph: Graph, op: Operator) -> NDArray[np.int64]:
    """Weights of a convolution or dense layer as [output channel, tap]; tap k reads channel k % (input channels)."""
    data = graph.tensors[op.inputs[1]].data
    assert data is not None
    return data.reshape(data.shape[0], -1).astype(np.int64)


def is_padded(op: Operator) -> bool:
    """Whether a window may reach beyond its input."""
    return any(op.attributes.get("padding", ()))


def channel_source(graph: Graph, op: Operator) -> NDArray[np.int64] | None:
    """By output channel, the one channel of every activation input that decides it; None for other operators."""
    source, out = channels_of(graph, op.inputs[0]), channels_of(graph, op.outputs[0])
    channel = np.arange(out)
    if op.kind == "DEPTHWISE_CONV_2D":
        return channel // (out // source)
    if op.kind in POOLS or is_elementwise(graph, op):
        return channel
    if op.kind in RESHAPES:
        # Elements keep their order, so a channel of the shorter axis comes back at even distances.
        return channel % source if out % source == 0 else None
    return channel if _keeps_last_axis(graph, op, source, out) else None


def _keeps_last_axis(graph: Graph, op: Operator, source: int, out: int) -> bool:
    if op.kind == "MEAN":
        return source == out and len(graph.tensors[op.inputs[0]].shape) - 1 not in op.attributes["axes"]
    if op.kind == "PAD":
        return not any(op.attributes["paddings"][-1])
    if op.kind in SLICES:
        return source == out and op.attributes["count"][-1] == source
    return False


def with_channels(op: Operator, kept: int) -> dict[str, Any]:
    """The attributes of an operator of ``channel_source`` that depend on the number of channels."""
    if op.kind in SLICES:
        return {"count": (*op.attributes["count"][:-1], kept)}
    return {}
