"""Another order of the operators where that makes the arena smaller."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from crest.compiler.graph import Graph, Operator
from crest.compiler.kernel_call import KernelCall
from crest.compiler.memory import in_place_roots, lagging_root, plan_arena, view_roots
from crest.compiler.offsets import Block, aligned, saved_bytes

SEARCH_STEPS: Final = 200_000
"""Operators that the search looks at before it gives up: all of them for each set of executed ones."""

Calls = tuple[KernelCall | None, ...]


def reorder(graph: Graph, calls: Calls) -> tuple[Graph, Calls, list[str]]:
    """Reorder the operators if a plan for another order is smaller.

    Args:
        graph: after its passes.
        calls: kernel call of each operator, for their scratch memory.

    Returns:
        Graph and calls in the new order, and what moved, in words; as they came, and nothing, where no order is better.
    """
    order = best_order(graph, scratch_bytes(calls), lag_bytes(calls))
    if order is None:
        return graph, calls, []
    moved = replace(graph, operators=tuple(graph.operators[position] for position in order))
    moved_calls = tuple(calls[position] for position in order)
    before = plan_arena(graph, scratch_bytes(calls), lag_bytes(calls))
    after = plan_arena(moved, scratch_bytes(moved_calls), lag_bytes(moved_calls))
    if after.size_bytes >= before.size_bytes:
        return graph, calls, []
    words = [
        f"operator {position} ({graph.operators[position].kind}): runs as number {place} of {len(order)}"
        for place, position in enumerate(order)
        if place != position
    ]
    return moved, moved_calls, [*words, f"the arena shrinks from {before.size_bytes} to {after.size_bytes} bytes"]


def scratch_bytes(calls: Calls) -> dict[int, int]:
    """Bytes of scratch memory by operator position."""
    return {p: call.scratch_bytes for p, call in enumerate(calls) if call is not None and call.scratch_bytes}


def lag_bytes(calls: Calls) -> dict[int, int]:
    """How far results must start before their operands, by operator position; see ``KernelCall``."""
    return {p: call.lag_bytes for p, call in enumerate(calls) if call is not None and call.lag_bytes is not None}


def best_order(
    graph: Graph, scratch: Mapping[int, int], lags: Mapping[int, int], effort: int = SEARCH_STEPS
) -> tuple[int, ...] | None:
    """The order of operators with the fewest bytes alive at its worst operator.

    What is alive follows from the set of operators that have run, whatever their order: a search over such sets that
    always goes on from the one with the lowest peak is exact.

    Args:
        graph: after its passes.
        scratch: bytes of scratch memory by operator position.
        lags: how far results must start before their operands, by operator position.
        effort: how many operators the search looks at.

    Returns:
        Positions in execution order; None if no order is better than the one at hand, or the search gave up.
    """
    steps = _steps(graph, scratch, lags)
    alive = sum(aligned(graph.tensors[index].size_bytes) for index in graph.inputs)
    given = _peak(steps, alive)
    everything = (1 << len(steps)) - 1
    queue = [(0, len(steps), 0, alive)]  # peak, how many still wait, what has run as a bit mask, bytes alive
    peaks, last = {0: 0}, {0: -1}
    while queue and effort > 0:
        peak, waiting, ran, alive = heapq.heappop(queue)
        if ran == everything:
            return _way(last, everything)
        if peak > peaks[ran]:
            continue
        effort -= len(steps)
        for position, step in enumerate(steps):
            after = ran | 1 << position
            if after == ran or step.needs & ~ran:
                continue
            during, left = step.run(alive, after)
            highest = max(peak, during)
            if highest < peaks.get(after, given):
                peaks[after], last[after] = highest, position
                heapq.heappush(queue, (highest, waiting - 1, after, left))
    return None


@dataclass(frozen=True)
class _Use:
    """A tensor that an operator reads: bytes, and all who read it, as a bit mask."""

    size_bytes: int
    readers: int


@dataclass(frozen=True)
class _Step:
    """What running an operator does to the bytes alive.

    Attributes:
        needs: operators that make its operands, as a bit mask.
        result_bytes: of what it writes; ``kept_bytes`` of that which anybody reads.
        frees: operands that go when their last reader has run.
        shares: operands that the result may lie over then, each with the bytes that this saves.
    """

    needs: int
    result_bytes: int
    kept_bytes: int
    scratch_bytes: int
    frees: tuple[_Use, ...]
    shares: tuple[_Use, ...]

    def run(self, alive: int, after: int) -> tuple[int, int]:
        """Bytes alive while it runs and behind it, from those before it and the set of operators that will have run."""
        saved = max((use.size_bytes for use in self.shares if not use.readers & ~after), default=0)
        during = alive + self.scratch_bytes + self.result_bytes - saved
        return during, alive + self.kept_bytes - sum(use.size_bytes for use in self.frees if not use.readers & ~after)


def _steps(graph: Graph, scratch: Mapping[int, int], lags: Mapping[int, int]) -> list[_Step]:
    views = view_roots(graph)
    makers = {out: position for position, op in enumerate(graph.operators) for out in op.outputs}
    readers = dict.fromkeys(views, 0)
    for position, op in enumerate(graph.operators):
        for index in op.inputs:
            if index in views:
                readers[views[index][0]] |= 1 << position
    kept = {views[index][0] for index in graph.outputs}

    def size(root: int) -> int:
        return aligned(graph.tensors[root].size_bytes)

    def shares(position: int, op: Operator) -> Iterator[_Use]:
        for root in in_place_roots(graph, op, views):
            yield _Use(size(root), readers[root])
        found = lagging_root(graph, op, lags[position], views) if position in lags else None
        if found is not None:
            written, read = (Block(graph.tensors[index].size_bytes, 0, 0) for index in (op.outputs[0], found[0]))
            yield _Use(saved_bytes(written, read, found[1]), readers[found[0]])

    steps = []
    for position, op in enumerate(graph.operators):
        written = [] if op.kind == "VIEW" else [(out, size(out)) for out in op.outputs]
        read = dict.fromkeys(views[index][0] for index in op.inputs if index in views)
        steps.append(
            _Step(
                needs=sum(1 << maker for maker in {makers[index] for index in op.inputs if index in makers}),
                result_bytes=sum(number for _, number in written),
                kept_bytes=sum(number for out, number in written if readers[out] or out in kept),
                scratch_bytes=aligned(scratch.get(position, 0)),
                frees=tuple(_Use(size(root), readers[root]) for root in read if root not in kept),
                shares=tuple(shares(position, op)),
            )
        )
    return steps


def _peak(steps: Sequence[_Step], alive: int) -> int:
    """Most bytes alive in the given order."""
    peak = ran = 0
    for position, step in enumerate(steps):
        ran |= 1 << position
        during, alive = step.run(alive, ran)
        peak = max(peak, during)
    return peak


def _way(last: Mapping[int, int], ran: int) -> tuple[int, ...]:
    order = []
    while ran:
        order.append(last[ran])
        ran &= ~(1 << last[ran])
    return tuple(reversed(order))
