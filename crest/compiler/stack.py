"""A bound on the stack from the machine code itself: frames of each function, summed along the deepest chain of calls.

The same for every compiler and for its run-time library, at the price of what disassembly cannot see: indirect calls
and recursion are refused, not guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

import capstone
from elftools.elf.elffile import ELFFile

from crest.errors import ToolchainError

_NOP: Final = b"\x00\xbf"
_CONSTANT_FRAME: Final = re.compile(r"sp(?:, sp)?, #(0x[0-9a-f]+|\d+)$")
_STORE_BELOW: Final = re.compile(r"\[sp, #-(0x[0-9a-f]+|\d+)\]!")
# What linkers put between a branch and a function beyond its reach.
_VENEER: Final = re.compile(r"__Thumb[vV]\w*?Thunk_(?P<lld>\w+)|__(?P<gnu>\w+)_veneer")
_VENEER_FRAME_BYTES: Final = 8
_BRANCH: Final = re.compile(r"(bl?(eq|ne|hs|cs|lo|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)?|blx|cbn?z)$")


def stack_bound_bytes(elf: ELFFile, function: str) -> int:
    """Most bytes of stack that a call of ``function`` uses, its own frame included.

    Raises:
        ToolchainError: recursion or an indirect call, for which there is no bound.
    """
    symbols = [symbol for symbol in elf.get_section_by_name(".symtab").iter_symbols() if _in_section(symbol)]
    functions = _functions(elf, symbols)
    by_name = {s.name: s["st_value"] & ~1 for s in symbols if s["st_info"]["type"] == "STT_FUNC"}
    depth: dict[int, int] = {}
    active: set[int] = set()

    def walk(address: int) -> int:
        if address in depth:
            return depth[address]
        if address in active:
            raise ToolchainError(f"no stack bound: {functions[address][0]} calls itself")
        active.add(address)
        frame, callees = _frame_and_callees(functions[address][1], address, functions, by_name)
        depth[address] = frame + max((walk(callee) for callee in callees), default=0)
        active.discard(address)
        return depth[address]

    return walk(by_name[function])


def _functions(elf: ELFFile, symbols: Sequence[Any]) -> dict[int, tuple[str, bytes]]:
    """Code of every function symbol by address; literal pools and jump tables are blanked out."""
    found: dict[int, tuple[str, bytes]] = {}
    for symbol in symbols:
        address, size = symbol["st_value"] & ~1, symbol["st_size"]
        if symbol["st_info"]["type"] != "STT_FUNC" or not size or address in found:
            continue
        section = elf.get_section(symbol["st_shndx"])
        start = address - section["sh_addr"]
        code = bytearray(section.data()[start : start + size])
        _blank_data(code, address, [s for s in symbols if s["st_shndx"] == symbol["st_shndx"]])
        found[address] = (symbol.name, bytes(code))
    return found


def _in_section(symbol: Any) -> bool:
    return isinstance(symbol["st_shndx"], int)


def _blank_data(code: bytearray, address: int, symbols: list[Any]) -> None:
    """Write NOPs over what the mapping symbols ($t code, $d data) call data."""
    marks = sorted({(s["st_value"] & ~1, s.name[:2]) for s in symbols if s.name.startswith(("$t", "$d"))})
    for (begin, kind), (end, _) in zip(marks, [*marks[1:], (address + len(code), "")], strict=True):
        first, last = max(begin, address) - address, min(end, address + len(code)) - address
        if kind == "$d" and first < last:
            code[first:last] = _NOP * ((last - first) // 2)


@cache
def _disassembler() -> Any:
    return capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS)


def _frame_and_callees(
    code: bytes, address: int, functions: Mapping[int, tuple[str, bytes]], by_name: Mapping[str, int]
) -> tuple[int, set[int]]:
    """Bytes that a function pushes or reserves, each instruction counted once, and the functions it branches to."""
    name = functions[address][0]
    frame = 0
    callees: set[int] = set()
    if veneer := _VENEER.fullmatch(name):
        # It goes through a register; a push that its own pop takes back is all that it may need.
        return _VENEER_FRAME_BYTES, {by_name[veneer["lld"] or veneer["gnu"]]}
    for instruction in _disassembler().disasm(code, address):
        mnemonic, operands = instruction.mnemonic.split(".")[0], instruction.op_str
        frame += _reserved_bytes(mnemonic, operands, name)
        target = _branch_target(mnemonic, operands, name)
        if target is None or address < target < address + len(code) or (target == address and mnemonic != "bl"):
            continue
        if target not in functions:
            raise ToolchainError(f"no stack bound: {name} branches to {target:#x}, which is no function")
        callees.add(target)
    return frame, callees


def _reserved_bytes(mnemonic: str, operands: str, name: str) -> int:
    if mnemonic == "push" or (mnemonic == "stmdb" and operands.startswith("sp!")):
        return 4 * _register_count(operands)
    if mnemonic == "vpush" or (mnemonic == "vstmdb" and operands.startswith("sp!")):
        return _register_count(operands) * (8 if "d" in operands.split("{")[1] else 4)
    if mnemonic.startswith("str") and (stored := _STORE_BELOW.search(operands)):
        return int(stored.group(1), 0)
    if mnemonic in ("sub", "subs", "subw") and operands.startswith("sp"):
        if not (constant := _CONSTANT_FRAME.match(operands)):
            raise ToolchainError(f"no stack bound: {name} has a frame of variable size")
        return int(constant.group(1), 0)
    return 0


def _branch_target(mnemonic: str, operands: str, name: str) -> int | None:
    """Where an instruction branches to; None for what does not branch, and for returns."""
    if mnemonic in ("bx", "blx") and not operands.startswith("#"):
        if operands == "lr" and mnemonic == "bx":
            return None
        raise ToolchainError(f"no stack bound: {name} calls through a pointer")
    if _BRANCH.match(mnemonic):
        return int(operands.rsplit("#", 1)[1], 0)
    return None


def _register_count(operands: str) -> int:
    names = operands[operands.index("{") + 1 : operands.index("}")].split(",")
    count = 0
    for name in (part.strip() for part in names):
        first, _, last = name.partition("-")
        count += int(last[1:]) - int(first[1:]) + 1 if last else 1
    return count
