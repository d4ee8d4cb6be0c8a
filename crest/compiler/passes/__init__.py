"""Graph passes: each turns a graph into an equal, cheaper one and lists what it removed.

Which of them run is one choice of three. Searches price a candidate before it is trained, with seeded weights; what is
removed there must not depend on them, so that the price is that of the trained network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from crest.compiler.graph import Graph
from crest.compiler.passes.dead_code import remove_dead_code
from crest.compiler.passes.drop_channels import drop_channels
from crest.compiler.passes.drop_identities import drop_identities
from crest.compiler.passes.fold_pads import fold_pads
from crest.compiler.passes.fuse_activations import fuse_activations
from crest.compiler.passes.sink_pads import sink_pads
from crest.compiler.passes.thin_out import thin_out
from crest.compiler.passes.views import make_views, view_reshapes

PassSet = Literal["optimized", "weight_independent", "plain"]
"""What ships; what may be done before the weights are known; the graph as it was exported."""


@dataclass(frozen=True)
class PassRecord:
    """What one pass removed, in words for people."""

    name: str
    removed: tuple[str, ...]


Pass = Callable[[Graph], tuple[Graph, list[str]]]

_SHAPES: Final[tuple[Pass, ...]] = (
    remove_dead_code,
    sink_pads,
    fold_pads,
    fuse_activations,
    thin_out,
    drop_identities,
)
_WEIGHTS: Final[tuple[Pass, ...]] = (drop_channels,)
_LAYOUT: Final[tuple[Pass, ...]] = (make_views,)

PASS_SETS: Final[Mapping[PassSet, tuple[Pass, ...]]] = {
    "optimized": (*_SHAPES, *_WEIGHTS, *_LAYOUT),
    "weight_independent": (*_SHAPES, *_LAYOUT),
    "plain": (remove_dead_code, view_reshapes),
}


def run_passes(graph: Graph, passes: PassSet = "optimized") -> tuple[Graph, tuple[PassRecord, ...]]:
    """Run the passes of a set in order."""
    records = []
    for run in PASS_SETS[passes]:
        graph, removed = run(graph)
        records.append(PassRecord(run.__name__, tuple(removed)))
    return graph, tuple(records)
