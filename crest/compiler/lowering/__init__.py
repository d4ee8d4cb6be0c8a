"""Operators become calls of kernels: constants in the kernels' layout, parameters, scratch memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from crest.compiler.cost import Cost
from crest.compiler.graph import ACTIVATION_TYPES, Graph, Operator
from crest.compiler.kernel_call import KernelCall
from crest.compiler.lowering.averages import average_pool, max_pool, mean_f32, mean_s8, softmax_f32, softmax_s8
from crest.compiler.lowering.binary import binary_f32, mul_s8, sum_s8
from crest.compiler.lowering.elementwise import (
    dequantize_f32,
    leaky_relu_f32,
    quantize_s8,
    relu_f32,
    table_s8,
    unary_f32,
)
from crest.compiler.lowering.moves import (
    batch_to_space,
    concatenate,
    pad,
    slice_box,
    space_to_batch,
    split,
    transpose,
)
from crest.compiler.lowering.unweighted_s16 import (
    average_pool_s16,
    max_pool_s16,
    mean_s16,
    mul_s16,
    relu_s16,
    softmax_s16,
    sum_s16,
)
from crest.compiler.lowering.weighted import conv_s8, depthwise_s8, fully_connected_s8
from crest.compiler.lowering.weighted_f32 import conv_f32, depthwise_f32, fully_connected_f32
from crest.compiler.lowering.weighted_s16 import conv_s16, depthwise_s16, fully_connected_s16
from crest.errors import ModelError
from crest.targets import CoreName


def lower(graph: Graph, op: Operator, core: CoreName, cost: Cost) -> KernelCall | None:
    """The cheapest kernel call of an operator on a core; None for a view, which needs no code.

    Raises:
        ModelError: the operator is outside of what its kernels can do.
    """
    if op.kind == "VIEW":
        return None
    out = graph.tensors[op.outputs[0]]
    if (op.kind, out.dtype) not in _BY_CORE and (op.kind, out.dtype) not in _LOWERINGS:
        raise ModelError(f"{graph.name}: no {out.dtype} kernel for {op.kind}")
    try:
        if (op.kind, out.dtype) in _BY_CORE:
            call = min(_BY_CORE[op.kind, out.dtype](graph, op, core), key=cost)
        else:
            call = _LOWERINGS[op.kind, out.dtype](graph, op)
    except ModelError as exc:
        raise ModelError(f"{graph.name}: {op.kind} {out.name}: {exc.message}", hint=exc.hint) from exc
    repeats = _repeats(graph, op)
    return call if repeats == 1 else replace(call, repeats=repeats, lag_bytes=None)


def kernel_types(kind: str) -> list[str]:
    """Output types for which there is a kernel, or a view, of an operator."""
    known = sorted({dtype for known_kind, dtype in (*_BY_CORE, *_LOWERINGS) if known_kind == kind}, reverse=True)
    return known or ["int8", "int16", "float32"]


def _repeats(graph: Graph, op: Operator) -> int:
    """How many images, or rows of a dense layer, a kernel that knows one is called for."""
    if op.kind in _ONE_IMAGE:
        return graph.tensors[op.inputs[0]].shape[0]
    if op.kind == "FULLY_CONNECTED":
        return graph.tensors[op.inputs[0]].elements // graph.tensors[op.inputs[1]].shape[1]
    return 1


_ONE_IMAGE: Final = ("AVERAGE_POOL_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D")


# Where the instructions of the core decide the kernel and the order of the weights.
_BY_CORE: Final[dict[tuple[str, str], Callable[[Graph, Operator, CoreName], list[KernelCall]]]] = {
    ("CONV_2D", "int8"): conv_s8,
    ("DEPTHWISE_CONV_2D", "int8"): depthwise_s8,
    ("FULLY_CONNECTED", "int8"): fully_connected_s8,
}
_MOVES: Final = {
    "BATCH_TO_SPACE_ND": batch_to_space,
    "CONCATENATION": concatenate,
    "PACK": concatenate,
    "PAD": pad,
    "SLICE": slice_box,
    "SPACE_TO_BATCH_ND": space_to_batch,
    "SPLIT": split,
    "SPLIT_V": split,
    "STRIDED_SLICE": slice_box,
    "TRANSPOSE": transpose,
    "UNPACK": split,
}
_LOWERINGS: Final[dict[tuple[str, str], Callable[[Graph, Operator], KernelCall]]] = {
    ("AVERAGE_POOL_2D", "int8"): average_pool,
    ("AVERAGE_POOL_2D", "float32"): average_pool,
    ("CONV_2D", "float32"): conv_f32,
    ("DEPTHWISE_CONV_2D", "float32"): depthwise_f32,
    ("FULLY_CONNECTED", "float32"): fully_connected_f32,
    ("MAX_POOL_2D", "int8"): max_pool,
    ("MAX_POOL_2D", "float32"): max_pool,
    ("MEAN", "int8"): mean_s8,
    ("MEAN", "float32"): mean_f32,
    ("SOFTMAX", "int8"): softmax_s8,
    ("SOFTMAX", "float32"): softmax_f32,
    ("ADD", "int8"): sum_s8,
    ("ADD", "float32"): binary_f32,
    ("DEQUANTIZE", "float32"): dequantize_f32,
    ("HARD_SWISH", "int8"): table_s8,
    ("HARD_SWISH", "float32"): unary_f32,
    ("LEAKY_RELU", "int8"): table_s8,
    ("LEAKY_RELU", "float32"): leaky_relu_f32,
    ("LOGISTIC", "int8"): table_s8,
    ("LOGISTIC", "float32"): unary_f32,
    ("MUL", "int8"): mul_s8,
    ("MUL", "float32"): binary_f32,
    ("QUANTIZE", "int8"): quantize_s8,
    ("RELU", "int8"): table_s8,
    ("RELU", "float32"): relu_f32,
    ("RELU6", "int8"): table_s8,
    ("RELU6", "float32"): relu_f32,
    ("SUB", "int8"): sum_s8,
    ("SUB", "float32"): binary_f32,
    ("TANH", "int8"): table_s8,
    ("TANH", "float32"): unary_f32,
    **{(kind, dtype): lowering for kind, lowering in _MOVES.items() for dtype in ACTIVATION_TYPES},
    # int16 activations
    ("ADD", "int16"): sum_s16,
    ("AVERAGE_POOL_2D", "int16"): average_pool_s16,
    ("CONV_2D", "int16"): conv_s16,
    ("DEPTHWISE_CONV_2D", "int16"): depthwise_s16,
    ("FULLY_CONNECTED", "int16"): fully_connected_s16,
    ("MAX_POOL_2D", "int16"): max_pool_s16,
    ("MEAN", "int16"): mean_s16,
    ("MUL", "int16"): mul_s16,
    ("RELU", "int16"): relu_s16,
    ("SOFTMAX", "int16"): softmax_s16,
    ("SUB", "int16"): sum_s16,
}
