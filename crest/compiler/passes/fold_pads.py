"""Turns a PAD in front of a convolution into padding of the convolution."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from crest.compiler.graph import Graph, Operator

_CONVOLUTIONS: Final = ("CONV_2D", "DEPTHWISE_CONV_2D")


def fold_pads(graph: Graph) -> tuple[Graph, list[str]]:
    """Fold every spatial PAD whose only reader is a convolution; its fill is the zero that the convolution assumes."""
    operators: list[Operator | None] = list(graph.operators)
    removed = []
    for position, pad in enumerate(graph.operators):
        if pad.kind != "PAD" or not _is_spatial(graph, pad) or pad.outputs[0] in graph.outputs:
            continue
        readers = graph.consumers(pad.outputs[0])
        if len(readers) != 1 or graph.operators[readers[0]].kind not in _CONVOLUTIONS:
            continue
        conv = operators[readers[0]]
        assert conv is not None
        _, (top, bottom), (left, right), _ = pad.attributes["paddings"]
        own = conv.attributes["padding"]
        total = (own[0] + top, own[1] + bottom, own[2] + left, own[3] + right)
        inputs = (pad.inputs[0], *conv.inputs[1:])
        operators[readers[0]] = replace(conv, inputs=inputs).with_attributes(padding=total)
        operators[position] = None
        removed.append(f"operator {position} (PAD): folded into operator {readers[0]} ({conv.kind})")
    return replace(graph, operators=tuple(op for op in operators if op is not None)), removed


def _is_spatial(graph: Graph, pad: Operator) -> bool:
    """Whether only height and width grow, and the filling equals the convolution's own zero."""
    source, padded = graph.tensors[pad.inputs[0]], graph.tensors[pad.outputs[0]]
    paddings = pad.attributes["paddings"]
    if len(paddings) != 4 or any(paddings[0]) or any(paddings[3]):
        return False
    return source.quantization == padded.quantization or source.dtype == "float32"
