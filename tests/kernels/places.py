"""Where the activations of a case lie: as the compiler plans them, or so that a kernel shows what it must not do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from crest.compiler.build import Lowered
from crest.compiler.graph import ELEMENT_BYTES, Graph
from crest.compiler.kernel_call import KernelCall
from crest.compiler.memory import in_place_roots, lagging_root, view_roots

# Nobody may write there.
GUARD_BYTES = 16
_ALIGNMENT_BYTES = 4


@dataclass(frozen=True)
class Places:
    """Offsets into the arena of a case, and the ranges of it that its kernels may write."""

    tensors: Mapping[int, int]
    scratch: Mapping[int, int]
    size_bytes: int
    writable: tuple[tuple[int, int], ...]


def planned(lowered: Lowered) -> Places:
    """As it ships."""
    arena = lowered.arena
    return Places(arena.tensor_offsets_bytes, arena.scratch_offsets_bytes, arena.size_bytes, ((0, arena.size_bytes),))


def apart(graph: Graph, calls: Sequence[KernelCall | None], rng: np.random.Generator) -> Places:
    """Every activation and scratch memory by itself between guards.

    Inputs are aligned to their elements only, for what a kernel reads may be a view of something else.
    """
    builder = _Builder(graph, calls)
    for root in builder.roots:
        element = ELEMENT_BYTES[graph.tensors[root].dtype]
        shift = int(rng.integers(0, _ALIGNMENT_BYTES)) // element * element if root in graph.inputs else 0
        builder.place(root, shift)
    return builder.places()


def over(graph: Graph, calls: Sequence[KernelCall | None]) -> Places | None:
    """The last result over an operand, as far as its kernel lets it; None where it must lie apart."""
    op, call = graph.operators[-1], calls[-1]
    builder = _Builder(graph, calls)
    found = next(((root, 0) for root in in_place_roots(graph, op, builder.views)), None)
    if found is None and call is not None and call.lag_bytes is not None:
        found = lagging_root(graph, op, call.lag_bytes, builder.views)
    if found is None:
        return None
    shared, lag_bytes = found
    out = op.outputs[0]
    for root in builder.roots:
        if root not in (shared, out):
            builder.place(root, 0)
    builder.place(out, 0)
    builder.place_at(shared, builder.offsets[out] + lag_bytes)
    return builder.places()


class _Builder:
    def __init__(self, graph: Graph, calls: Sequence[KernelCall | None]) -> None:
        self._graph = graph
        self.views = view_roots(graph)
        self.roots = sorted({root for root, _ in self.views.values()})
        self.offsets: dict[int, int] = {}
        self._writable: list[tuple[int, int]] = []
        self._end = GUARD_BYTES
        self._scratch = {}
        for position, call in enumerate(calls):
            if call is not None and call.scratch_bytes:
                self._scratch[position] = self._take(call.scratch_bytes)
                self._writable.append((self._scratch[position], self._scratch[position] + call.scratch_bytes))

    def place(self, root: int, shift: int) -> None:
        """Behind everything else, ``shift`` bytes behind a word's address."""
        self.place_at(root, self._take(shift + self._graph.tensors[root].size_bytes) + shift)

    def place_at(self, root: int, offset: int) -> None:
        size = self._graph.tensors[root].size_bytes
        self.offsets[root] = offset
        self._end = max(self._end, offset + size + GUARD_BYTES)
        if root not in self._graph.inputs:
            self._writable.append((offset, offset + size))

    def places(self) -> Places:
        tensors = {tensor: self.offsets[root] + at for tensor, (root, at) in self.views.items()}
        return Places(tensors, self._scratch, self._end, tuple(self._writable))

    def _take(self, size_bytes: int) -> int:
        at = self._end + -self._end % _ALIGNMENT_BYTES
        self._end = at + size_bytes + GUARD_BYTES
        return at
