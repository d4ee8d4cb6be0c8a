"""Operators become calls of kernels: constants in the kernels' layout, parameters, scratch memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from crest.compiler.cost import Cost
from crest.compiler.graph import Graph, Operator
from crest.compiler.kernel_call import KernelCall
from crest.compiler.lowering.averages import average_pool, max_pool, mean_f32, mean_s8, softmax_f32, softmax_s8
from crest.compiler.lowering.elementwise import add_f32, add_s8, relu_f32, relu_s8
from crest.compiler.lowering.moves import pad, strided_slice
from crest.compiler.lowering.unweighted_s16 import (
    add_s16,
    average_pool_s16,
    max_pool_s16,
    mean_s16,
    relu_s16,
    softmax_s16,
)
from crest.compiler.lowering.weighted import conv_s8, depthwise_s8, fully_connected_s8
from crest.compiler.lowering.weighted_f32 import conv_f32, depthwise_f32, fully_connected_f32
from crest.compiler.lowering.weighted_s16 import conv_s16, depthwise_s16, fully_connected_s16
from crest.errors import ModelError
from crest.targets import CoreName


def lower(graph: Graph, op: Operator, core: CoreName, cost: Cost) -> KernelCall | None:
    """The cheapest kernel call of an operator on a core; None for a view, which needs no code."""
    if op.kind == "VIEW":
        return None
    dtype = graph.tensors[op.outputs[0]].dtype
    by_core = _BY_CORE.get((op.kind, dtype))
    if by_core is not None:
        calls = by_core(graph, op, core)
        return min(calls, key=cost) if len(calls) > 1 else calls[0]
    try:
        lowering = _LOWERINGS[op.kind, dtype]
    except KeyError:
        raise ModelError(f"{graph.name}: no {dtype} kernel for {op.kind}") from None
    return lowering(graph, op)


# Where the instructions of the core decide the kernel and the order of the weights.
_BY_CORE: Final[dict[tuple[str, str], Callable[[Graph, Operator, CoreName], list[KernelCall]]]] = {
    ("CONV_2D", "int8"): conv_s8,
    ("DEPTHWISE_CONV_2D", "int8"): depthwise_s8,
    ("FULLY_CONNECTED", "int8"): fully_connected_s8,
}
_LOWERINGS: Final[dict[tuple[str, str], Callable[[Graph, Operator], KernelCall]]] = {
    ("ADD", "int8"): add_s8,
    ("ADD", "float32"): add_f32,
    ("AVERAGE_POOL_2D", "int8"): average_pool,
    ("AVERAGE_POOL_2D", "float32"): average_pool,
    ("CONV_2D", "float32"): conv_f32,
    ("DEPTHWISE_CONV_2D", "float32"): depthwise_f32,
    ("FULLY_CONNECTED", "float32"): fully_connected_f32,
    ("MAX_POOL_2D", "int8"): max_pool,
    ("MAX_POOL_2D", "float32"): max_pool,
    ("MEAN", "int8"): mean_s8,
    ("MEAN", "float32"): mean_f32,
    ("PAD", "int8"): pad,
    ("PAD", "float32"): pad,
    ("RELU", "int8"): relu_s8,
    ("RELU", "float32"): relu_f32,
    ("SOFTMAX", "int8"): softmax_s8,
    ("SOFTMAX", "float32"): softmax_f32,
    ("STRIDED_SLICE", "int8"): strided_slice,
    ("STRIDED_SLICE", "float32"): strided_slice,
    # int16 activations
    ("ADD", "int16"): add_s16,
    ("AVERAGE_POOL_2D", "int16"): average_pool_s16,
    ("CONV_2D", "int16"): conv_s16,
    ("DEPTHWISE_CONV_2D", "int16"): depthwise_s16,
    ("FULLY_CONNECTED", "int16"): fully_connected_s16,
    ("MAX_POOL_2D", "int16"): max_pool_s16,
    ("MEAN", "int16"): mean_s16,
    ("PAD", "int16"): pad,
    ("RELU", "int16"): relu_s16,
    ("SOFTMAX", "int16"): softmax_s16,
    ("STRIDED_SLICE", "int16"): strided_slice,
}
