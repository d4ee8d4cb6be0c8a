"""Removes channels that are constant or that nobody reads; what constants add to a layer moves into its bias.

Depends on the weights: a network is lowered differently before and after its training.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crest.compiler.graph import Graph, Operator, Quantization, Tensor
from crest.compiler.passes.channels import (
    channel_source,
    channels_of,
    computes_int8,
    is_weighted,
    weight_matrix,
    with_channels,
)
from crest.compiler.passes.constant_channels import Channels, bias_of, constant_channels, foldable, offsets
from crest.compiler.passes.editing import Editor

Mask = NDArray[np.bool_]


def drop_channels(graph: Graph) -> tuple[Graph, list[str]]:
    """Shrink the last axis of int8 tensors to the channels that depend on the input and reach an output."""
    constants = constant_channels(graph)
    kept = _kept_channels(graph, constants)
    editor, removed = Editor(graph), []
    for index, mask in kept.items():
        tensor = graph.tensors[index]
        if not mask.all():
            editor.tensors[index] = replace(tensor, shape=(*tensor.shape[:-1], int(mask.sum())))
    for position, op in enumerate(graph.operators):
        whole = all(kept[index].all() for index in (*graph.activations(op), *op.outputs))
        editor.operators.append(op if whole else _shrink(graph, op, constants, kept, editor))
        out = kept[op.outputs[0]]
        if not out.all():
            count = f"{len(out) - int(out.sum())} of {len(out)}"
            removed.append(f"operator {position} ({op.kind}): {count} output channels are constant or never read")
    return editor.graph(), removed


def _kept_channels(graph: Graph, constants: dict[int, Channels]) -> dict[int, Mask]:
    """By activation tensor, which channels stay."""
    activations = {index for op in graph.operators for index in (*graph.activations(op), *op.outputs)}
    kept = {i: np.zeros(channels_of(graph, i), bool) for i in (*activations, *graph.inputs, *graph.outputs)}
    for index in (*graph.inputs, *graph.outputs):
        kept[index][:] = True
    _spread(graph, constants, kept)
    # An empty tensor could not be passed on.
    for mask in kept.values():
        if not mask.any():
            mask[0] = True
            _spread(graph, constants, kept)
    return kept


def _spread(graph: Graph, constants: dict[int, Channels], kept: dict[int, Mask]) -> None:
    """Mark what is needed by what is marked, until nothing is added."""
    before = -1
    while (marked := sum(int(mask.sum()) for mask in kept.values())) != before:
        before = marked
        for op in reversed(graph.operators):
            _spread_operator(graph, op, constants, kept)


def _spread_operator(graph: Graph, op: Operator, constants: dict[int, Channels], kept: dict[int, Mask]) -> None:
    inputs, out = [kept[index] for index in graph.activations(op)], kept[op.outputs[0]]
    source = channel_source(graph, op)
    if not computes_int8(graph, op) or (source is None and not is_weighted(graph, op)):
        for mask in (*inputs, *(kept[index] for index in op.outputs)):
            mask[:] = True
    elif source is None:
        read = weight_matrix(graph, op)[out].any(axis=0).reshape(-1, len(inputs[0])).any(axis=0)
        inputs[0] |= read & ~foldable(graph, op, constants[op.inputs[0]])
    else:
        # Such an operator has no say in which of its channels it computes: inputs and output shrink together.
        for mask in inputs:
            mask[source[out]] = True
        out |= np.any([mask[source] for mask in inputs], axis=0)


def _shrink(
    graph: Graph, op: Operator, constants: dict[int, Channels], kept: dict[int, Mask], editor: Editor
) -> Operator:
    source, out = kept[op.inputs[0]], kept[op.outputs[0]]
    if op.kind == "DEPTHWISE_CONV_2D":
        filters = graph.tensors[op.inputs[1]]
        assert filters.data is not None
        return _with_weights(graph, op, editor, filters.data[..., out], bias_of(graph, op, len(out))[out], out)
    if not is_weighted(graph, op):
        return op.with_attributes(**with_channels(op, int(out.sum())))
    filters = graph.tensors[op.inputs[1]]
    assert filters.data is not None
    repeats = filters.data[0].size // len(source)
    # Dropped channels are constant, or have no weights.
    dropped = np.tile(np.where(source, 0, offsets(graph, op, constants[op.inputs[0]])), repeats)
    bias = bias_of(graph, op, len(out)) + weight_matrix(graph, op) @ dropped
    columns = np.tile(source, repeats)
    weights = filters.data.reshape(len(out), -1)[out][:, columns]
    shape = (len(weights), *filters.shape[1:-1], weights[0].size // int(np.prod(filters.shape[1:-1])))
    return _with_weights(graph, op, editor, weights.reshape(shape), bias[out], out)


def _with_weights(
    graph: Graph, op: Operator, editor: Editor, weights: NDArray[Any], bias: Channels, kept: Mask
) -> Operator:
    """The layer with new weights and bias, both for the channels that stay; either may be shared with other layers."""
    filters = graph.tensors[op.inputs[1]]
    filters = replace(
        filters, shape=weights.shape, data=weights, quantization=_for_channels(filters.quantization, kept)
    )
    # Sums are taken modulo 2**32.
    values = bias.astype(np.uint64).astype(np.uint32).view(np.int32)
    name = f"{graph.tensors[op.outputs[0]].name}/bias"
    inputs = (op.inputs[0], editor.add(filters), editor.add(Tensor(name, values.shape, "int32", None, values)))
    return replace(op, inputs=inputs)


def _for_channels(quantization: Quantization | None, kept: Mask) -> Quantization | None:
    if quantization is None or len(quantization.scale) != len(kept):
        return quantization
    chosen = np.flatnonzero(kept).tolist()
    scale = tuple(quantization.scale[channel] for channel in chosen)
    return replace(quantization, scale=scale, zero_point=tuple(quantization.zero_point[c] for c in chosen))
