"""Lets the operator in front of a rectifier clamp its own results.

Exact where both tensors share scale and zero point, for then a rectifier rescales by one and only clamps. Where they
differ, the reference rounds twice, and so do we: the rectifier stays.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from crest.compiler.graph import Graph, Operator

_RECTIFIERS: Final = {"RELU": "relu", "RELU6": "relu6"}
_CLAMPING: Final = (
    "ADD",
    "AVERAGE_POOL_2D",
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "FULLY_CONNECTED",
    "MAX_POOL_2D",
    "MUL",
    "SUB",
)


def fuse_activations(graph: Graph) -> tuple[Graph, list[str]]:
    """Fold each rectifier into the operator that feeds nothing else."""
    operators: list[Operator | None] = list(graph.operators)
    makers = {index: position for position, op in enumerate(graph.operators) for index in op.outputs}
    removed = []
    for position, rectifier in enumerate(graph.operators):
        maker = makers.get(rectifier.inputs[0]) if rectifier.kind in _RECTIFIERS else None
        if maker is None or not _only_clamps(graph, rectifier):
            continue
        producer = operators[maker]
        fused = _both(producer, _RECTIFIERS[rectifier.kind])
        if producer is None or fused is None:
            continue
        operators[maker] = replace(producer, outputs=rectifier.outputs).with_attributes(activation=fused)
        operators[position] = None
        # A second rectifier behind this one finds the same producer.
        makers[rectifier.outputs[0]] = maker
        removed.append(f"operator {position} ({rectifier.kind}): folded into operator {maker} ({producer.kind})")
    return replace(graph, operators=tuple(op for op in operators if op is not None)), removed


def _only_clamps(graph: Graph, rectifier: Operator) -> bool:
    source = rectifier.inputs[0]
    if source in graph.outputs or len(graph.consumers(source)) != 1:
        return False
    before, behind = graph.tensors[source], graph.tensors[rectifier.outputs[0]]
    return before.dtype == "float32" or before.quantization == behind.quantization


def _both(producer: Operator | None, rectifier: str) -> str | None:
    """The activation that clamps as one after the other do; None where there is none."""
    if producer is None or producer.kind not in _CLAMPING:
        return None
    own = producer.attributes["activation"]
    if own in ("none", "relu"):
        return rectifier
    return own if own == "relu6" else None
