"""Source lines of code, from the line tables of an ELF (DWARF 2 to 5)."""

from __future__ import annotations

import posixpath
from bisect import bisect_right
from collections.abc import Container, Iterator
from typing import Any, NamedTuple

from elftools.common.exceptions import DWARFError, ELFError
from elftools.elf.elffile import ELFFile


class Line(NamedTuple):
    """A line of a source file, as the compiler calls it."""

    file: str
    line: int


class LineTable:
    """Lines by address.

    Args:
        file: the ELF.
        begins: addresses at which functions begin. What the linker removed has line tables, too, that say nothing.
    """

    def __init__(self, file: ELFFile, begins: Container[int]) -> None:
        rows: list[tuple[int, Line | None]] = []
        self.problem: str | None = None
        try:
            for sequence in _sequences(file):
                if sequence and sequence[0][0] in begins:
                    rows += sequence
        except (DWARFError, ELFError, KeyError, IndexError, ValueError, TypeError, AttributeError) as exc:
            self.problem = f"the line tables cannot be read: {type(exc).__name__}: {exc}"
        # Where a sequence begins as another ends, the beginning comes last and wins.
        rows.sort(key=lambda row: (row[0], row[1] is not None))
        self._addresses = [address for address, _ in rows]
        self._lines = [line for _, line in rows]
        if not rows and self.problem is None:
            self.problem = "the ELF has no line tables: compile and link with -g"

    def at(self, address: int) -> Line | None:
        """The line that code at an address comes from; None where nothing is known."""
        index = bisect_right(self._addresses, address) - 1
        return self._lines[index] if index >= 0 else None


def _sequences(file: ELFFile) -> Iterator[list[tuple[int, Line | None]]]:
    """Rows (address, line) of contiguous code; the last one has no line."""
    if not file.has_dwarf_info():
        return
    dwarf = file.get_dwarf_info()
    for unit in dwarf.iter_CUs():
        program = dwarf.line_program_for_CU(unit)
        if program is None:
            continue
        names = _file_names(unit, program)
        rows: list[tuple[int, Line | None]] = []
        for entry in program.get_entries():
            state = entry.state
            if state is None:
                continue
            address = state.address & ~1
            if state.end_sequence:
                yield [*rows, (address, None)]
                rows = []
            else:
                name = names.get(state.file)
                rows.append((address, Line(name, state.line) if name and state.line else None))


def _file_names(unit: Any, program: Any) -> dict[int, str]:
    """Paths by file number; the conventions of DWARF 5 differ."""
    root = unit.get_top_DIE().attributes.get("DW_AT_comp_dir")
    base = _text(root.value) if root is not None else ""
    header = program.header
    is_new = header["version"] >= 5
    folders = [_text(folder) for folder in header["include_directory"]]
    if not is_new:
        folders = [base, *folders]
    names = {}
    for number, entry in enumerate(header["file_entry"], start=0 if is_new else 1):
        folder = folders[entry.dir_index] if entry.dir_index < len(folders) else ""
        names[number] = posixpath.normpath(posixpath.join(base, folder, _text(entry.name)))
    return names


def _text(name: Any) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
