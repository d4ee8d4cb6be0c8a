"""Lowering of operators of one operand that work element by element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from crest.compiler import unary_tables
from crest.compiler.graph import Graph, Operator, Tensor
from crest.compiler.kernel_call import Constant, KernelCall, c_float

_RELU_BOUNDS: Final = {"RELU": float(np.finfo(np.float32).max), "RELU6": 6.0}
_TABLES: Final[dict[str, Callable[[Tensor, Tensor, Operator], NDArray[np.int64]]]] = {
    "HARD_SWISH": lambda source, out, op: unary_tables.hard_swish(source, out),
    "LEAKY_RELU": lambda source, out, op: unary_tables.leaky_relu(source, out, op.attributes["alpha"]),
    "LOGISTIC": lambda source, out, op: unary_tables.logistic(source),
    "QUANTIZE": lambda source, out, op: unary_tables.rescaled(source, out),
    "RELU": lambda source, out, op: unary_tables.rescaled(source, out, low=out.zero_point),
    "RELU6": lambda source, out, op: unary_tables.relu6(source),
    "TANH": lambda source, out, op: unary_tables.tanh(source),
}


def table_s8(graph: Graph, op: Operator) -> KernelCall:
    """Any function of one int8 is a table of 256."""
    source, out = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    return lookup(_TABLES[op.kind](source, out, op), "{in0}", out.elements)


def lookup(results: NDArray[np.int64], source: str, elements: int) -> KernelCall:
    """The kernel call that replaces each element by the result for its value.

    Args:
        results: in order of ``unary_tables.INPUTS``.
        source: argument of the kernel.
        elements: how many there are.
    """
    # The kernel takes the index as an unsigned byte: negative values lie behind the others.
    table = Constant("table", "int8_t", np.roll(results, 128))
    return KernelCall("crest_lookup_s8", ("{table}", source, "{out}", str(elements)), constants=(table,))


def relu_f32(graph: Graph, op: Operator) -> KernelCall:
    """Rectifier, with an upper bound or without."""
    out = graph.tensors[op.outputs[0]]
    return KernelCall("crest_relu_f32", ("{in0}", "{out}", str(out.elements), c_float(_RELU_BOUNDS[op.kind])))


def leaky_relu_f32(graph: Graph, op: Operator) -> KernelCall:
    """Rectifier that lets a part of negative values through."""
    out = graph.tensors[op.outputs[0]]
    return KernelCall("crest_leaky_relu_f32", ("{in0}", "{out}", str(out.elements), c_float(op.attributes["alpha"])))


def unary_f32(graph: Graph, op: Operator) -> KernelCall:
    """A function without parameters, which has a kernel of its name."""
    elements = graph.tensors[op.outputs[0]].elements
    return KernelCall(f"crest_{op.kind.lower()}_f32", ("{in0}", "{out}", str(elements)))


def quantize_s8(graph: Graph, op: Operator) -> KernelCall:
    """From float32, or from int8 on another scale."""
    source, out = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    if source.dtype == "int8":
        return table_s8(graph, op)
    arguments = ("{in0}", "{out}", str(out.elements), c_float(out.scale), str(out.zero_point))
    return KernelCall("crest_quantize_f32_s8", arguments)


def dequantize_f32(graph: Graph, op: Operator) -> KernelCall:
    """To float32."""
    source = graph.tensors[op.inputs[0]]
    arguments = ("{in0}", "{out}", str(source.elements), c_float(source.scale), str(source.zero_point))
    return KernelCall("crest_dequantize_s8_f32", arguments)
