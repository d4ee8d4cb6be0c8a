"""Which memory region each part of a model lies in: what a ``Placement`` asks for, with ``auto`` resolved.

``auto`` goes by what a byte gains. The arena comes first, for every layer reads and writes it; then the code; then the
constants of whole layers, those first whose bytes are read most often in one inference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from crest.compiler.graph import Graph
from crest.compiler.kernel_call import C_TYPES, KernelCall
from crest.errors import StudyError
from crest.measurement import MemoryReport
from crest.placement import AUTO, PARTS, Placement
from crest.targets import Target

# Sections that are placed begin at multiples of it.
ALIGNMENT_BYTES: Final = 16
# Kernels read some bytes behind the arena, whatever lies there: it keeps off the end of a memory.
READ_BEHIND_BYTES: Final = 16
_TYPE_BYTES: Final = {C_TYPES["int8"]: 1, C_TYPES["int16"]: 2}

Calls = Sequence[KernelCall | None]


@dataclass(frozen=True)
class Layout:
    """Regions by part, by name.

    Attributes:
        weights: by layer; constants of a layer that is not named lie in the target's code region.
    """

    code: str
    arena: str
    weights: Mapping[int, str] = field(default_factory=dict)


def fixed_layout(placement: Placement, target: Target, calls: Calls) -> Layout:
    """The layout of a placement; parts that are ``auto`` keep their place.

    Raises:
        StudyError: the target lacks a region, or the arena would lie in flash.
    """
    regions = {region.name: region for region in target.regions}
    asked = {part: region for part in PARTS if (region := getattr(placement, part)) not in (None, AUTO)}
    for part, region in asked.items():
        if region not in regions:
            raise StudyError(
                f"placement: {part}: {target.name} has no memory region {region!r}",
                hint=f"{AUTO}, or one of {', '.join(regions)}",
            )
        if part == "arena" and regions[region].kind == "flash":
            raise StudyError(f"placement: arena: {region} is flash, and activations are written", hint="name a RAM")
    weights = asked.get("weights", target.code_region)
    return Layout(
        code=asked.get("code", target.code_region),
        arena=asked.get("arena", target.data_region),
        weights={} if weights == target.code_region else dict.fromkeys(_layers_with_constants(calls), weights),
    )


def auto_layout(
    placement: Placement,
    target: Target,
    graph: Graph,
    calls: Calls,
    fixed: Layout,
    memory: MemoryReport,
    code_bytes: int,
    reserved_ram_bytes: int,
) -> Layout:
    """Move the parts that are ``auto`` to the regions that the target prefers for them, as far as there is room.

    Args:
        placement: what was asked for.
        target: the board.
        graph: after its passes.
        calls: its kernel calls, in order.
        fixed: the layout of which ``memory`` is the report.
        memory: what the firmware needs in that layout.
        code_bytes: size of what moves as code.
        reserved_ram_bytes: kept for the application, in the data region.
    """
    room = _Room(target, memory, reserved_ram_bytes, placement.ram_budget_bytes)
    preferred = target.auto_placement
    code, arena, weights = fixed.code, fixed.arena, dict(fixed.weights)
    if placement.arena == AUTO:
        room.leave(arena, memory.arena_bytes)
        moved = room.take(preferred.arena, memory.arena_bytes + READ_BEHIND_BYTES)
        arena = moved or room.take((arena,), memory.arena_bytes) or arena
    if placement.code == AUTO:
        code = room.take(preferred.code, code_bytes) or code
    if placement.weights == AUTO:
        by_use = sorted(_layers_with_constants(calls), key=lambda layer: -_reads_per_byte(graph, calls, layer))
        for layer in by_use:
            if region := room.take(preferred.weights, _constant_bytes(calls[layer])):
                weights[layer] = region
    return Layout(code, arena, weights)


class _Room:
    """Free bytes by region, and the RAM that may still be used in all."""

    def __init__(self, target: Target, memory: MemoryReport, reserved_ram_bytes: int, budget_bytes: int | None) -> None:
        used = {use.region: use.used_bytes for use in memory.regions}
        self._free = {r.name: target.available_bytes(r.name) - used.get(r.name, 0) for r in target.regions}
        self._free[target.data_region] -= reserved_ram_bytes
        self._budget = float("inf") if budget_bytes is None else budget_bytes - memory.ram_bytes - reserved_ram_bytes

    def take(self, regions: Iterable[str], size_bytes: int) -> str | None:
        """Use the first of the regions that has room for so many bytes; None when none has."""
        size_bytes = _aligned(size_bytes)
        for region in regions:
            if size_bytes <= min(self._free[region], self._budget):
                self._free[region] -= size_bytes
                self._budget -= size_bytes
                return region
        return None

    def leave(self, region: str, size_bytes: int) -> None:
        """Give back what was used in the layout so far."""
        self._free[region] += _aligned(size_bytes)
        self._budget += _aligned(size_bytes)


def _aligned(size_bytes: int) -> int:
    return -(-size_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


def _layers_with_constants(calls: Calls) -> list[int]:
    return [layer for layer, call in enumerate(calls) if call is not None and call.constants]


def _constant_bytes(call: KernelCall | None) -> int:
    constants = () if call is None else call.constants
    return sum(constant.values.size * _TYPE_BYTES.get(constant.c_type, 4) for constant in constants)


def _reads_per_byte(graph: Graph, calls: Calls, layer: int) -> float:
    op = graph.operators[layer]
    uses = max(graph.macs(op), graph.tensors[op.outputs[0]].elements)
    return uses / max(1, _constant_bytes(calls[layer]))
