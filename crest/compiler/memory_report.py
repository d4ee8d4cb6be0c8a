"""What a linked firmware occupies: by owner, and by memory region, read off the sections of the ELF."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from elftools.elf.elffile import ELFFile

from crest.compiler import linker
from crest.compiler.layout import Calls, Layout
from crest.compiler.stack import stack_bound_bytes
from crest.measurement import MemoryReport, RegionUse
from crest.targets import Target

_ALLOCATED: Final = 2


@dataclass(frozen=True)
class _Section:
    name: str
    size_bytes: int
    region: str
    stored: bool
    """Whether flash holds its bytes, be it that they are copied elsewhere."""


@dataclass(frozen=True)
class Stack:
    """Most bytes of stack: of the model alone, and from reset on with the harness that calls it."""

    model_bytes: int
    total_bytes: int


def stack_bound(elf: ELFFile) -> Stack:
    """The stack of generated code, from its machine code.

    Raises:
        ToolchainError: there is no bound.
    """
    return Stack(stack_bound_bytes(elf, "model_run"), stack_bound_bytes(elf, "Reset_Handler"))


def weights_by_region(target: Target, layout: Layout, calls: Calls) -> dict[str, int]:
    """Bytes of weights and biases that each region holds."""
    weights = dict.fromkeys((region.name for region in target.regions), 0)
    for layer, call in enumerate(calls):
        if call is not None:
            weights[layout.weights.get(layer, target.code_region)] += call.weight_bytes
    return weights


def report_memory(
    elf: ELFFile,
    target: Target,
    layout: Layout,
    weights_bytes: Mapping[str, int],
    arena_lower_bound_bytes: int,
    stack: Stack,
) -> MemoryReport:
    """Read the memory report off an ELF that was linked with ``linker.linker_script``.

    Args:
        elf: the firmware.
        target: the board.
        layout: where the parts of the model lie.
        weights_bytes: how much of what ships is the model's, by region.
        arena_lower_bound_bytes: no plan of the arena needs less.
        stack: most stack that is used.
    """
    sections = [_section(section, target) for section in elf.iter_sections() if section["sh_flags"] & _ALLOCATED]
    shipped = [section for section in sections if section.name.startswith(linker.SHIPPED)]
    harness = [section for section in sections if section.name.startswith(linker.HARNESS)]
    in_ram = {region.name for region in target.regions if region.kind != "flash"}
    weights = sum(weights_bytes.values())
    shipped_flash = sum(section.size_bytes for section in shipped if section.stored)
    harness_flash = sum(section.size_bytes for section in harness if section.stored)
    placed = [s for s in shipped if s.region in in_ram and s.name.startswith((linker.CODE, linker.PLACED_WEIGHTS))]
    regions = _region_uses(sections, target, layout, weights_bytes, stack.total_bytes)
    return MemoryReport(
        weights_bytes=weights,
        code_bytes=shipped_flash - weights,
        flash_harness_bytes=harness_flash,
        flash_total_bytes=shipped_flash + harness_flash,
        arena_bytes=sum(section.size_bytes for section in sections if section.name == linker.ARENA),
        arena_lower_bound_bytes=arena_lower_bound_bytes,
        static_ram_bytes=sum(s.size_bytes for s in shipped if s.region in in_ram and s not in placed),
        placed_ram_bytes=sum(section.size_bytes for section in placed),
        stack_bytes=stack.model_bytes,
        ram_harness_bytes=sum(section.size_bytes for section in harness if section.region in in_ram),
        ram_total_bytes=sum(use.used_bytes for use in regions if use.region in in_ram),
        regions=regions,
    )


def code_bytes(elf: ELFFile) -> int:
    """Bytes of what moves as code."""
    section = elf.get_section_by_name(linker.CODE)
    return 0 if section is None else int(section["sh_size"])


def _section(section: Any, target: Target) -> _Section:
    address, size = section["sh_addr"], section["sh_size"]
    region = next((r.name for r in target.regions if r.base <= address < r.end), target.data_region)
    return _Section(section.name, size, region, section["sh_type"] != "SHT_NOBITS")


def _region_uses(
    sections: list[_Section], target: Target, layout: Layout, weights_bytes: Mapping[str, int], stack_bytes: int
) -> tuple[RegionUse, ...]:
    used = dict.fromkeys((region.name for region in target.regions), 0)
    for section in sections:
        for region in {section.region, target.code_region} if section.stored else {section.region}:
            used[region] += section.size_bytes
    used[target.data_region] += stack_bytes
    code = sum(section.size_bytes for section in sections if section.name == linker.CODE)
    arena = sum(section.size_bytes for section in sections if section.name == linker.ARENA)
    return tuple(
        RegionUse(
            region=name,
            used_bytes=used[name],
            code_bytes=code if name == layout.code else 0,
            weights_bytes=weights_bytes.get(name, 0),
            arena_bytes=arena if name == layout.arena else 0,
        )
        for name in used
    )
