"""Operators by what they do to positions and channels; a pass leaves alone what it finds in no table."""

from __future__ import annotations

from typing import Final

from crest.compiler.graph import Graph, Operator

POOLS: Final = ("AVERAGE_POOL_2D", "MAX_POOL_2D")
WINDOWED: Final = ("CONV_2D", "DEPTHWISE_CONV_2D", *POOLS)
RESHAPES: Final = ("EXPAND_DIMS", "RESHAPE", "SQUEEZE")
SLICES: Final = ("SLICE", "STRIDED_SLICE")
_ELEMENTWISE: Final = (
    "ADD", "DEQUANTIZE", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "MUL", "QUANTIZE", "RELU", "RELU6", "SUB", "TANH",
)  # fmt: skip


def is_elementwise(graph: Graph, op: Operator) -> bool:
    """Whether each element of the output is made of the elements of the inputs at its place."""
    if op.kind not in _ELEMENTWISE or len(graph.activations(op)) != len(op.inputs):
        return False
    return all(graph.tensors[index].shape == graph.tensors[op.outputs[0]].shape for index in op.inputs)
