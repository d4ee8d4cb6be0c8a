"""A bound on the stack from the machine code itself: frames of each function, summed along the deepest chain of calls.

The same for every compiler and for its run-time library, at the price of what disassembly cannot see: indirect calls
and recursion are refused, not guessed.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

import capstone
from elftools.elf.elffile import ELFFile

from crest.errors import ToolchainError

_PUSH: Final = frozenset({"push", "push.w", "stmdb", "stmdb.w"})
_IMMEDIATE: Final = re.compile(r"#(0x[0-9a-f]+|\d+)")


def stack_bound_bytes(elf: ELFFile, function: str) -> int:
    """Most bytes of stack that a call of ``function`` uses, its own frame included.

    Raises:
        ToolchainError: recursion or an indirect call, for which there is no bound.
    """
    functions = _functions(elf)
    by_name = {name: address for address, (name, _) in functions.items()}
    depth: dict[int, int] = {}
    active: set[int] = set()

    def walk(address: int) -> int:
        if address in depth:
            return depth[address]
        if address in active:
            raise ToolchainError(f"no stack bound: {functions[address][0]} calls itself")
        active.add(address)
        frame, callees = _frame_and_callees(functions[address][1], address, functions)
        depth[address] = frame + max((walk(callee) for callee in callees), default=0)
        active.discard(address)
        return depth[address]

    return walk(by_name[function])


def _functions(elf: ELFFile) -> dict[int, tuple[str, bytes]]:
    """Code of every function symbol by address."""
    found: dict[int, tuple[str, bytes]] = {}
    for symbol in elf.get_section_by_name(".symtab").iter_symbols():
        if symbol["st_info"]["type"] != "STT_FUNC" or not isinstance(symbol["st_shndx"], int):
            continue
        section = elf.get_section(symbol["st_shndx"])
        address = symbol["st_value"] & ~1
        start = address - section["sh_addr"]
        size = symbol["st_size"]
        code = section.data()[start : start + size]
        if size and address not in found:
            found[address] = (symbol.name, code)
    return found


@cache
def _disassembler() -> Any:
    return capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS)


def _frame_and_callees(code: bytes, address: int, functions: dict[int, tuple[str, bytes]]) -> tuple[int, set[int]]:
    frame = 0
    callees: set[int] = set()
    for instruction in _disassembler().disasm(code, address):
        mnemonic, operands = instruction.mnemonic, instruction.op_str
        if mnemonic in _PUSH and (mnemonic.startswith("push") or operands.startswith("sp!")):
            frame += 4 * _register_count(operands)
        elif mnemonic == "vpush" or (mnemonic == "vstmdb" and operands.startswith("sp!")):
            frame += _register_count(operands) * (8 if "d" in operands.split("{")[1] else 4)
        elif mnemonic.startswith("sub") and re.match(r"sp(, sp)?, #", operands):
            frame += int(_IMMEDIATE.findall(operands)[-1], 0)
        elif mnemonic.startswith("str") and re.search(r"\[sp, #-(0x[0-9a-f]+|\d+)\]!", operands):
            frame += int(re.findall(r"#-(0x[0-9a-f]+|\d+)", operands)[-1], 0)
        elif mnemonic in ("bl", "b", "b.w") or (mnemonic == "blx" and operands.startswith("#")):
            target = int(_IMMEDIATE.findall(operands)[-1], 0)
            within = address < target < address + len(code) or (target == address and mnemonic != "bl")
            if target in functions and not within:
                callees.add(target)
        elif mnemonic == "blx":
            raise ToolchainError(f"no stack bound: {functions[address][0]} calls through a pointer")
    return frame, callees


def _register_count(operands: str) -> int:
    names = operands[operands.index("{") + 1 : operands.index("}")].split(",")
    count = 0
    for name in (part.strip() for part in names):
        first, _, last = name.partition("-")
        count += int(last[1:]) - int(first[1:]) + 1 if last else 1
    return count
