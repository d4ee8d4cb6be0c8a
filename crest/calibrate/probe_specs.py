"""Which probes a target gets: one for each kind of work that its core and memories can do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from crest.targets import Region, Target

# Words are read and written in blocks (firmware/probes/probe.h).
BLOCK_WORDS: Final = 32
_WORD_BYTES: Final = 4
_PLAIN_BYTES: Final = 4096
# Of a cached region: what surely stays in the cache, and what surely does not.
_REUSED_BYTES: Final = 1024
_STREAMED_CACHES: Final = 4


@dataclass(frozen=True)
class ProbeSpec:
    """One probe.

    Attributes:
        source: its C file in ``firmware/probes``, without the ending.
        table_region: where what it reads lies; None where it reads nothing.
        arena_region: where what it writes lies; None where it writes nothing.
        memory_bytes: how much it reads or writes before it begins anew.
    """

    name: str
    source: str
    table_region: str | None = None
    arena_region: str | None = None
    memory_bytes: int = BLOCK_WORDS * _WORD_BYTES

    @property
    def memory_words(self) -> int:
        """``memory_bytes`` in words."""
        return self.memory_bytes // _WORD_BYTES


SPIN: Final = ProbeSpec("spin", "spin")


def fetch_regions(target: Target) -> tuple[str, ...]:
    """Regions that code may be fetched from: those whose timing the target states."""
    return (target.code_region, *target.fetch_stall_factor_in)


def core_specs(target: Target, code_region: str) -> tuple[ProbeSpec, ...]:
    """Probes that touch registers alone; they are worth running from every region that code may lie in."""
    specs = [SPIN, ProbeSpec("alu", "alu")]
    if _instructions_are_cached(target, target.region(code_region)):
        specs.append(ProbeSpec("alu_streamed", "alu_streamed"))
    specs.append(ProbeSpec("mac", "mac_single" if target.core == "cortex-m0plus" else "mac_dual"))
    if target.fpu != "none":
        specs.append(ProbeSpec("float", "float"))
    return tuple(specs)


def memory_specs(target: Target) -> tuple[ProbeSpec, ...]:
    """Loads from every region and stores to every RAM, each also from its cache where there is one."""
    return tuple(spec for region in target.regions for spec in _specs_of(target, region))


def _specs_of(target: Target, region: Region) -> Iterator[ProbeSpec]:
    cache_bytes = _cache_bytes(target, region)
    streamed = max(_PLAIN_BYTES, _STREAMED_CACHES * cache_bytes)
    sizes = {"": streamed}
    if cache_bytes >= 2 * _REUSED_BYTES:
        sizes["_cached"] = _REUSED_BYTES
    for suffix, size in sizes.items():
        yield ProbeSpec(f"load_{region.name}{suffix}", "load", table_region=region.name, memory_bytes=size)
        if region.kind != "flash":
            yield ProbeSpec(f"store_{region.name}{suffix}", "store", arena_region=region.name, memory_bytes=size)


def _instructions_are_cached(target: Target, region: Region) -> bool:
    geometry = target.memory_geometry
    if geometry is None or geometry.instruction_cache is None:
        return False
    return region.kind == "flash" or region.name in geometry.cached_regions


def _cache_bytes(target: Target, region: Region) -> int:
    """What the cache before a region holds of its data; 0 without one."""
    geometry = target.memory_geometry
    if geometry is None or region.name not in geometry.cached_regions:
        return 0
    cache = geometry.instruction_cache if geometry.unified else geometry.data_cache
    return cache.line_bytes * cache.lines if cache else 0
