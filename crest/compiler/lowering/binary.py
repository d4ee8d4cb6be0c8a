"""Lowering of sums and products: kernels that broadcast, constant operands, tables where one operand is a number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crest.compiler.binary_arithmetic import AddInt8, MulInt8
from crest.compiler.fixed_point import activation_range_float
from crest.compiler.graph import Graph, Operator
from crest.compiler.kernel_call import Constant, KernelCall, c_float, constant_operands
from crest.compiler.lowering.axes import broadcast_steps, loops
from crest.compiler.lowering.elementwise import lookup
from crest.compiler.unary_tables import INPUTS


def sum_s8(graph: Graph, op: Operator) -> KernelCall:
    """ADD and SUB of int8."""
    left, right, out = (graph.tensors[i] for i in (*op.inputs, *op.outputs))
    arithmetic = AddInt8.of(op, left, right, out)
    table = _table(graph, op, arithmetic)
    if table is not None:
        return table
    linear = arithmetic.linear()
    if linear is None:
        return broadcast("crest_add_s8", graph, op, ("crest_add_s8_params", arithmetic.fields()))
    params = ("crest_sum_s8_params", linear)
    if left.elements == right.elements == out.elements:
        sources, constants, size = _operands(graph, op)
        arguments = ("{params}", *sources, "{out}", str(out.elements))
        return KernelCall("crest_sum_s8", arguments, params, constants, weight_bytes=size)
    return broadcast("crest_sum_broadcast_s8", graph, op, params)


def mul_s8(graph: Graph, op: Operator) -> KernelCall:
    """MUL of int8."""
    left, right, out = (graph.tensors[i] for i in (*op.inputs, *op.outputs))
    arithmetic = MulInt8.of(op, left, right, out)
    table = _table(graph, op, arithmetic)
    return table or broadcast("crest_mul_s8", graph, op, ("crest_mul_s8_params", arithmetic.fields()))


def binary_f32(graph: Graph, op: Operator) -> KernelCall:
    """ADD, SUB and MUL of float32."""
    bounds = [c_float(bound) for bound in activation_range_float(op.attributes["activation"])]
    return broadcast(f"crest_{op.kind.lower()}_f32", graph, op, None, bounds)


def _table(graph: Graph, op: Operator, arithmetic: AddInt8 | MulInt8) -> KernelCall | None:
    """With a constant number as one operand, the result is a function of the other."""
    out = graph.tensors[op.outputs[0]]
    operands: list[NDArray[np.int64]] = [INPUTS, INPUTS]
    for side in (0, 1):
        data = graph.tensors[op.inputs[side]].data
        if data is not None and data.size == 1 and graph.tensors[op.inputs[1 - side]].elements == out.elements:
            operands[side] = data.reshape(1).astype(np.int64)
            return lookup(arithmetic.compute(*operands), f"{{in{1 - side}}}", out.elements)
    return None


def broadcast(
    function: str, graph: Graph, op: Operator, params: tuple[str, Any] | None, bounds: Sequence[str] = ()
) -> KernelCall:
    """The call of a kernel that walks through its operands with steps of their own."""
    left, right, out = (graph.tensors[i] for i in (*op.inputs, *op.outputs))
    counts, steps = loops(
        out.shape,
        broadcast_steps(left.shape, out.shape),
        broadcast_steps(right.shape, out.shape),
    )
    sources, constants, size = _operands(graph, op)
    table = Constant("loops", "int32_t", np.array([*counts, *steps[0], *steps[1]]))
    arguments = (*(["{params}"] if params else []), "{loops}", *sources, "{out}", *bounds)
    return KernelCall(function, arguments, params, (table, *constants), weight_bytes=size)


def _operands(graph: Graph, op: Operator) -> tuple[list[str], tuple[Constant, ...], int]:
    """Arguments for both operands, the constants among them, and the bytes of these."""
    constants = constant_operands(graph, op)
    given = {constant.suffix for constant in constants}
    sources = [f"{{inputs{i}}}" if f"inputs{i}" in given else f"{{in{i}}}" for i in range(len(op.inputs))]
    return sources, constants, sum(constant.values.nbytes for constant in constants)
