"""The linker script of a layout: what ships and what only measures end up in sections of their own.

Parts that do not lie in flash are stored there and copied by the start-up code: the script holds the table of copies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from crest.compiler.layout import ALIGNMENT_BYTES, READ_BEHIND_BYTES, Layout
from crest.targets import Target

# Output sections by owner; the memory report is read off these. Constants of layers that are placed lie in sections
# named by their region.
CODE: Final = ".text"
PLACED_WEIGHTS: Final = ".weights_"
SHIPPED: Final = (CODE, ".rodata", ".init_array", ".data", ".bss", PLACED_WEIGHTS)
HARNESS: Final = (".boot2", ".vectors", ".harness", ".copies")
ARENA: Final = ".arena"

_CODE_SECTIONS: Final = ".text .text.*"
_CONSTANT_SECTIONS: Final = ".rodata .rodata.*"
_ARENA_SECTION: Final = ".bss.model_arena"

_TEMPLATE = """\
MEMORY {{
{memories}
}}
SECTIONS {{
  .boot2 : {{ KEEP(*(.boot2)) }} > {flash}
  .vectors : {{ KEEP(*(.vectors)) }} > {flash}
  .harness : {{ {harness_code} . = ALIGN(4); }} > {flash}
{placed}
  .text : {{ *({code_sections}) . = ALIGN(4); }} > {code}
  .rodata : {{ *({constant_sections}) . = ALIGN(4); }} > {flash}
  .init_array : {{ crest_init_start = .; KEEP(*(SORT(.init_array.*) .init_array)) crest_init_end = .; }} > {flash}
  .data : {{ *(.data .data.*) . = ALIGN(4); }} > {ram} AT > {flash}
  .copies : {{ crest_copies_start = .; {copies} crest_copies_end = .; }} > {flash}
  .arena (NOLOAD) : {{ *({arena_section}) }} > {arena}
  .harness_bss (NOLOAD) : {{ crest_bss_start = .; {harness_bss} }} > {ram}
  .bss (NOLOAD) : {{ *(.bss .bss.* COMMON) . = ALIGN(4); crest_bss_end = .; }} > {ram}
  crest_stack_limit = .;
  crest_stack_top = {stack_top:#x};
  /DISCARD/ : {{ *(.comment .note.* .debug_* .ARM.exidx .ARM.exidx.*) }}
}}
"""


def linker_script(target: Target, layout: Layout, harness_objects: Sequence[str] = ()) -> str:
    """Memory map of a target as a GNU ld / LLD script.

    Args:
        target: the board.
        layout: where the parts of the model lie.
        harness_objects: file names of the objects that only measure. Whole names, for a wildcard spans folders.
    """
    flash = _memory(target.code_region)
    return _TEMPLATE.format(
        memories="\n".join(
            f"  {_memory(region.name)} ({'rx' if region.kind == 'flash' else 'rwx'}) : "
            f"ORIGIN = {target.origin(region.name):#x}, LENGTH = {linkable_bytes(target, layout, region.name):#x}"
            for region in target.regions
        ),
        flash=flash,
        ram=_memory(target.data_region),
        code=_stored(target, layout.code),
        arena=_memory(layout.arena),
        placed="\n".join(
            f"  {PLACED_WEIGHTS}{region} : ALIGN({ALIGNMENT_BYTES}) {{ {_constants(layout, region)} . = ALIGN(4); }} "
            f"> {_stored(target, region)}"
            for region in _weight_regions(layout)
        ),
        copies=" ".join(
            f"LONG(LOADADDR({section})) LONG(ADDR({section})) LONG(SIZEOF({section}))"
            for section in _copied(target, layout)
        ),
        code_sections=_CODE_SECTIONS,
        constant_sections=_CONSTANT_SECTIONS,
        arena_section=_ARENA_SECTION,
        stack_top=target.ram.end,
        harness_code=" ".join(f"*{name}(.text .text.* .rodata .rodata.*)" for name in harness_objects),
        harness_bss=" ".join(f"*{name}(.bss .bss.* COMMON)" for name in harness_objects),
    )


def input_sections(target: Target, layout: Layout) -> list[tuple[str, str, str]]:
    """Part, region, and the input sections that hold it, for a linker script of the user's."""
    rows = [("code", layout.code, f"*({_CODE_SECTIONS})"), ("arena", layout.arena, f"*({_ARENA_SECTION})")]
    rows += [("weights", region, _constants(layout, region)) for region in _weight_regions(layout)]
    return [*rows, ("everything else that is constant", target.code_region, f"*({_CONSTANT_SECTIONS})")]


def linkable_bytes(target: Target, layout: Layout, region: str) -> int:
    """Bytes to link to; in the data region the stack lies behind the arena."""
    behind = READ_BEHIND_BYTES if region == layout.arena != target.data_region else 0
    return target.available_bytes(region) - behind


def _memory(region: str) -> str:
    return region.upper()


def _stored(target: Target, region: str) -> str:
    """A region for what is read only: unless it is flash, its content comes from there."""
    stored = "" if target.region(region).kind == "flash" else f" AT > {_memory(target.code_region)}"
    return f"{_memory(region)}{stored}"


def _weight_regions(layout: Layout) -> list[str]:
    return sorted(set(layout.weights.values()))


def _constants(layout: Layout, region: str) -> str:
    names = " ".join(f".rodata.layer{layer}_*" for layer, name in sorted(layout.weights.items()) if name == region)
    return f"*({names})"


def _copied(target: Target, layout: Layout) -> list[str]:
    """Sections that the start-up code copies from flash."""
    placed = {CODE: layout.code, **{f"{PLACED_WEIGHTS}{region}": region for region in _weight_regions(layout)}}
    return [*(section for section, region in placed.items() if target.region(region).kind != "flash"), ".data"]
