"""Reads what an engine needs from an ELF: bytes for the flash, symbols, and which bytes are code."""

from __future__ import annotations

import io
import struct
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from crest.errors import EmulationError
from crest.targets import Target

_SYMBOL: Final = struct.Struct("<IIIBBH")
_TYPE_FUNCTION: Final = 2
# By what CREST, the ST and NXP start-up files and cortex-m-rt call it.
_VECTOR_SECTIONS: Final = (".vectors", ".isr_vector", ".interrupts", ".vector_table")


@dataclass(frozen=True)
class Segment:
    """Bytes to program at an address."""

    address: int
    data: bytes


@dataclass(frozen=True)
class CodeRange:
    """Bytes that the ELF's mapping symbols call Thumb code."""

    address: int
    data: bytes


@dataclass(frozen=True)
class ElfImage:
    """An executable for a Cortex-M.

    Attributes:
        segments: what a programmer writes, at load addresses.
        functions: (address, name) sorted by address.
        symbols: address by name, the Thumb bit cleared for functions.
        code: Thumb code by mapping symbols; empty when the ELF is stripped.
        vectors: load address of the section of vectors, known by its usual names, else the lowest load address.
    """

    segments: tuple[Segment, ...]
    functions: tuple[tuple[int, str], ...]
    symbols: dict[str, int]
    code: tuple[CodeRange, ...]
    vectors: int

    def nearest_symbol(self, address: int) -> str:
        """``name+0x1c`` of the function at or before an address; ``?`` when there is none."""
        index = bisect_right(self.functions, (address, "\U0010ffff")) - 1
        if index < 0:
            return "?"
        base, name = self.functions[index]
        return name if address == base else f"{name}+{address - base:#x}"


def read_elf(elf: bytes, target: Target) -> ElfImage:
    """Parse an ELF and check that it is an executable that fits the flash of a target.

    Raises:
        EmulationError: not an ELF, not for Arm, or bytes outside of the target's flash regions.
    """
    try:
        image = _parse(elf)
    except (ELFError, struct.error, ValueError, KeyError, OverflowError, TypeError, AssertionError) as exc:
        raise EmulationError(f"the firmware is not a readable ELF: {exc}", hint="pass the linked .elf file") from exc
    for segment in image.segments:
        end = segment.address + len(segment.data)
        if not any(r.kind == "flash" and r.base <= segment.address and end <= r.end for r in target.regions):
            raise EmulationError(
                f"the ELF loads {len(segment.data)} bytes at {segment.address:#010x}, "
                f"outside of the flash of {target.name}",
                hint="link for this target; initialised data needs a load address in flash (`> RAM AT> FLASH`)",
            )
    return image


def _parse(elf: bytes) -> ElfImage:
    file = ELFFile(io.BytesIO(elf))
    if file["e_machine"] != "EM_ARM" or file.elfclass != 32 or file["e_type"] != "ET_EXEC":
        raise ValueError(f"{file['e_type']} for {file['e_machine']}, expected an executable for EM_ARM")
    segments = tuple(
        Segment(s["p_paddr"], s.data()) for s in file.iter_segments() if s["p_type"] == "PT_LOAD" and s["p_filesz"]
    )
    if not segments:
        raise ValueError("it loads nothing")
    functions: list[tuple[int, str]] = []
    symbols: dict[str, int] = {}
    marks: dict[int, dict[int, str]] = {}
    extents: list[tuple[int, int]] = []
    for name, value, size, kind, section in _symbols(file):
        if name.startswith(("$t", "$d", "$a")):
            marks.setdefault(section, {})[value & ~1] = name[:2]
        elif name:
            is_function = kind == _TYPE_FUNCTION
            symbols[name] = value & ~1 if is_function else value
            if is_function:
                functions.append((value & ~1, name))
                extents.append((value & ~1, (value & ~1) + size))
    named = (file.get_section_by_name(name) for name in _VECTOR_SECTIONS)
    vector_section = next((section for section in named if section is not None), None)
    return ElfImage(
        segments=segments,
        functions=tuple(sorted(functions)),
        symbols=symbols,
        code=tuple(_code_ranges(file, marks, [extent for extent in extents if extent[1] > extent[0]])),
        vectors=min(s.address for s in segments) if vector_section is None else vector_section["sh_addr"],
    )


def _symbols(file: ELFFile) -> Iterator[tuple[str, int, int, int, int]]:
    """(name, value, size, type, section index) of the symbol table; read by hand, for there can be thousands."""
    table = file.get_section_by_name(".symtab")
    if table is None:
        return
    names = file.get_section(table["sh_link"]).data()
    for offset, value, size, info, _other, section in _SYMBOL.iter_unpack(table.data()):
        yield names[offset : names.index(0, offset)].decode("utf-8", "replace"), value, size, info & 0xF, section


def _code_ranges(
    file: ELFFile, marks: dict[int, dict[int, str]], functions: list[tuple[int, int]]
) -> Iterator[CodeRange]:
    """Code by mapping symbols; constants behind a function in the same section have no mark of their own."""
    for index, by_address in marks.items():
        section = file.get_section(index)
        data, base = section.data(), section["sh_addr"]
        addresses = sorted(by_address)
        for begin, end in zip(addresses, [*addresses[1:], base + len(data)], strict=True):
            if by_address[begin] == "$t" and end > begin:
                ends = [last for first, last in functions if first < end and last > begin]
                yield CodeRange(begin, data[begin - base : min([end, max(ends, default=end)]) - base])
