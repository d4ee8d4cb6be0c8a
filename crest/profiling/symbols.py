"""The functions of an ELF: which code belongs to which."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile

from crest.errors import EmulationError

_BINDINGS: Final = ("STB_LOCAL", "STB_WEAK", "STB_GLOBAL")
UNKNOWN: Final = "[no function]"


@dataclass(frozen=True)
class Function:
    """A function, by a name that no other has: code from ``begin`` up to ``end``."""

    name: str
    begin: int
    end: int


class FunctionTable:
    """Functions of an ELF by address and by name; of several of one name each is called ``name@0x1c0``.

    Raises:
        EmulationError: the ELF is stripped.
    """

    def __init__(self, file: ELFFile) -> None:
        found = sorted(_symbols(file), key=lambda item: (item.begin, item.rank))
        by_begin = {item.begin: item for item in found}  # of several names, the one of the highest rank stays
        self._addresses = {item.name: item.begin for item in found}
        if not by_begin:
            raise EmulationError(
                "the ELF names no functions: it is stripped",
                hint="profile the .elf from before strip",
            )
        places = list(by_begin.values())
        named = Counter(item.name for item in places)
        names = [item.name if named[item.name] == 1 else f"{item.name}@{item.begin:#x}" for item in places]
        self._ambiguous = {
            name: [f"{name}@{item.begin:#x}" for item in places if item.name == name]
            for name, number in named.items()
            if number > 1
        }
        self._addresses |= {name: item.begin for name, item in zip(names, places, strict=True)}
        limits = [after.begin for _, after in pairwise(places)] + [1 << 32]
        self.functions = tuple(
            Function(name, item.begin, min(item.end, limit))
            for name, item, limit in zip(names, places, limits, strict=True)
        )

    def __contains__(self, name: str) -> bool:
        return name in self._addresses

    def name(self, number: int) -> str:
        """Name of a function by its number; the number behind the last one stands for code of none."""
        return self.functions[number].name if number < len(self.functions) else UNKNOWN

    def place(self, address: int) -> str:
        """``name+0x1c`` for code of a function, else the address."""
        for function in self.functions:
            if function.begin <= address < function.end:
                return f"{function.name}+{address - function.begin:#x}"
        return f"{address:#010x}"

    def address(self, name: str) -> int:
        """Where a function begins.

        Raises:
            EmulationError: there is none of that name, and the message has names that are close, or there are several.
        """
        if name in self._ambiguous:
            raise EmulationError(
                f"several functions are called {name!r}", hint=f"name one of {', '.join(self._ambiguous[name])}"
            )
        if name in self._addresses:
            return self._addresses[name]
        close = difflib.get_close_matches(name, self._addresses, n=3)
        close = close or sorted(known for known in self._addresses if name.lower() in known.lower())[:3]
        raise EmulationError(
            f"the firmware has no function {name!r}" + (f"; did you mean {' or '.join(close)}?" if close else ""),
            hint="inlined functions have no symbol; `nm firmware.elf` lists those that do",
        )


@dataclass(frozen=True)
class _Symbol:
    name: str
    begin: int
    end: int
    rank: tuple[bool, int, int, str]


def _symbols(file: ELFFile) -> Iterator[_Symbol]:
    table = file.get_section_by_name(".symtab")
    for symbol in table.iter_symbols() if table is not None else ():
        section = _code_section(file, symbol["st_shndx"])
        kind, binding = symbol["st_info"]["type"], symbol["st_info"]["bind"]
        # Assembly code often leaves out the type of its labels.
        is_function = kind == "STT_FUNC" or (kind == "STT_NOTYPE" and binding == "STB_GLOBAL")
        if section is None or not is_function or not symbol.name or symbol.name.startswith("$"):
            continue
        begin = symbol["st_value"] & ~1
        end = section["sh_addr"] + section["sh_size"]
        if begin < section["sh_addr"] or begin >= end:
            continue
        size = symbol["st_size"]
        rank = (kind == "STT_FUNC", _BINDINGS.index(binding) if binding in _BINDINGS else 0, size, symbol.name)
        yield _Symbol(symbol.name, begin, min(begin + size, end) if size else end, rank)


def _code_section(file: ELFFile, index: Any) -> Any:
    if not isinstance(index, int) or index >= file.num_sections():
        return None
    section = file.get_section(index)
    return section if section["sh_flags"] & SH_FLAGS.SHF_EXECINSTR else None
