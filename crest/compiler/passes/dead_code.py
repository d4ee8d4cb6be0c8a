"""Drops operators whose result reaches no output."""

from __future__ import annotations

from dataclasses import replace

from crest.compiler.graph import Graph


def remove_dead_code(graph: Graph) -> tuple[Graph, list[str]]:
    """Keep only operators that an output depends on."""
    needed = set(graph.outputs)
    kept, removed = [], []
    for position in reversed(range(len(graph.operators))):
        op = graph.operators[position]
        if needed.isdisjoint(op.outputs):
            removed.append(f"operator {position} ({op.kind}): its result is never used")
            continue
        needed.update(op.inputs)
        kept.append(op)
    return replace(graph, operators=tuple(reversed(kept))), removed[::-1]
