"""Graph passes: each turns a graph into an equal, cheaper one and lists what it removed.

All of them are weight-independent: they look at shapes, types and quantization parameters, never at weights, so that a
network with seeded weights is lowered exactly as the trained one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from crest.compiler.graph import Graph
from crest.compiler.passes.dead_code import remove_dead_code
from crest.compiler.passes.fold_pads import fold_pads
from crest.compiler.passes.views import make_views


@dataclass(frozen=True)
class PassRecord:
    """What one pass removed, in words for people."""

    name: str
    removed: tuple[str, ...]


Pass = Callable[[Graph], tuple[Graph, list[str]]]

PASSES: tuple[tuple[str, Pass], ...] = (
    ("remove_dead_code", remove_dead_code),
    ("fold_pads", fold_pads),
    ("make_views", make_views),
)


def run_passes(graph: Graph) -> tuple[Graph, tuple[PassRecord, ...]]:
    """Run all passes in order."""
    records = []
    for name, run in PASSES:
        graph, removed = run(graph)
        records.append(PassRecord(name, tuple(removed)))
    return graph, tuple(records)
