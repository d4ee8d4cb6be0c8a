"""What an engine returns: how often each kind of thing happened, for each layer and for the whole inference."""

from __future__ import annotations

from collections import Counter

from crest.frozen import Frozen

PROFILE_SCHEMA = 4


class LayerProfile(Frozen):
    """Counts of one layer of one inference; a count that is absent is zero."""

    index: int
    counts: dict[str, int]


class ExecutionProfile(Frozen):
    """Counts of one inference: ``overhead`` is what the latency window holds outside of the layers.

    ``unseen`` names counts that the engine could not tell: absent or too small, they say nothing, and no cycles can be
    derived. ``instructions`` is exact always.
    """

    schema_version: int = PROFILE_SCHEMA
    engine: str
    core: str
    overhead: dict[str, int]
    layers: tuple[LayerProfile, ...]
    unseen: tuple[str, ...] = ()

    def total(self) -> dict[str, int]:
        """Counts of the whole latency window."""
        summed: Counter[str] = Counter(self.overhead)
        for layer in self.layers:
            summed.update(layer.counts)
        return dict(summed)
