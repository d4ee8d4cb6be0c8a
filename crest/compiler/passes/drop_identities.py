"""Turns operators that copy their input element by element into reshapes, which become views."""

from __future__ import annotations

from dataclasses import replace

from crest.compiler.fixed_point import INT8_MIN
from crest.compiler.graph import Graph, Operator
from crest.compiler.passes.kinds import POOLS


def drop_identities(graph: Graph) -> tuple[Graph, list[str]]:
    """Find pools of one element, pads of nothing, rectifiers without effect, and rescaling to the same scale."""
    operators, removed = [], []
    for position, op in enumerate(graph.operators):
        if not _is_identity(graph, op):
            operators.append(op)
            continue
        operators.append(Operator("RESHAPE", op.inputs[:1], op.outputs))
        removed.append(f"operator {position} ({op.kind}): its output is its input")
    return replace(graph, operators=tuple(operators)), removed


def _is_identity(graph: Graph, op: Operator) -> bool:
    source, out = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    if source.data is not None or source.dtype != out.dtype or source.quantization != out.quantization:
        return False
    if op.kind in POOLS:
        alone = op.attributes["kernel"] == op.attributes["strides"] == (1, 1)
        return alone and not any(op.attributes["padding"]) and op.attributes["activation"] == "none"
    if op.kind == "PAD":
        return source.shape == out.shape
    if op.kind == "RELU":
        return out.dtype == "int8" and out.zero_point == INT8_MIN
    return op.kind == "QUANTIZE"
