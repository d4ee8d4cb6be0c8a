"""The linker script of a target: what ships and what only measures end up in sections of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from crest.targets import Target

# Output sections by owner; the memory report is read off these.
SHIPPED_FLASH: Final = (".text", ".rodata", ".data")
HARNESS_FLASH: Final = (".boot2", ".vectors", ".harness")
SHIPPED_RAM: Final = (".data", ".bss")
HARNESS_RAM: Final = (".harness_bss",)
ARENA: Final = ".arena"

_TEMPLATE = """\
MEMORY {{
  FLASH (rx) : ORIGIN = {flash_origin:#x}, LENGTH = {flash_length:#x}
  RAM (rwx) : ORIGIN = {ram_origin:#x}, LENGTH = {ram_length:#x}
}}
SECTIONS {{
  .boot2 : {{ KEEP(*(.boot2)) }} > FLASH
  .vectors : {{ KEEP(*(.vectors)) }} > FLASH
  .harness : {{ {harness_code} }} > FLASH
  .text : {{ *(.text .text.*) }} > FLASH
  .rodata : {{ *(.rodata .rodata.*) }} > FLASH
  .data : {{ crest_data_start = .; *(.data .data.*) . = ALIGN(4); crest_data_end = .; }} > RAM AT > FLASH
  crest_data_load = LOADADDR(.data);
  crest_bss_start = .;
  .arena (NOLOAD) : {{ *(.bss.model_arena) }} > RAM
  .harness_bss (NOLOAD) : {{ {harness_bss} }} > RAM
  .bss (NOLOAD) : {{ *(.bss .bss.* COMMON) . = ALIGN(4); crest_bss_end = .; }} > RAM
  crest_stack_limit = .;
  crest_stack_top = {stack_top:#x};
  /DISCARD/ : {{ *(.comment .note.* .debug_* .ARM.exidx .ARM.exidx.*) }}
}}
"""


def linker_script(target: Target, harness_objects: Sequence[str] = ()) -> str:
    """Memory map of a target as a GNU ld / LLD script.

    Args:
        target: the board.
        harness_objects: file names of the objects that only measure. Whole names, for a wildcard spans folders.
    """
    flash_origin = target.flash.base + target.reserved_flash_bytes
    ram_origin = target.ram.base + target.reserved_ram_bytes
    return _TEMPLATE.format(
        flash_origin=flash_origin,
        flash_length=target.flash_available_bytes,
        ram_origin=ram_origin,
        ram_length=target.ram_available_bytes,
        stack_top=target.ram.end,
        harness_code=" ".join(f"*{name}(.text .text.* .rodata .rodata.*)" for name in harness_objects),
        harness_bss=" ".join(f"*{name}(.bss .bss.* COMMON)" for name in harness_objects),
    )
