"""Folds a trace into a profile by the same blocks and edges that the native hook of Unicorn counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from crest.emulators.blocks import Instruction, disassemble, list_words, loads_pc
from crest.emulators.counts import EDGE, BlockAt, fold_edges, name_accesses
from crest.emulators.elf import ElfImage
from crest.emulators.renode.marks import Window
from crest.emulators.renode.trace import Trace
from crest.errors import EmulationError
from crest.targets import Target

# Unicorn cuts basic blocks at these edges; so is done here, for pairing on a Cortex-M7 is counted block by block.
_PAGE_BITS: Final = 10
_ENDS_BLOCK: Final = frozenset({"call", "bx", "bu", "bc"})
LOADS, STORES, UNALIGNED = range(3)

CodeAt = Callable[[int, int], bytes]
Rows = dict[int, dict[str, int]]


@dataclass(frozen=True)
class _Code:
    """What is known of each address that was executed; arrays by position in ``addresses``."""

    addresses: NDArray[np.uint32]
    sizes: NDArray[np.int64]
    ends_block: NDArray[np.bool_]
    words: NDArray[np.int64]
    access_bytes: NDArray[np.int64]


def code_reader(image: ElfImage) -> CodeAt:
    """Code at (address, size in bytes), by the ELF: of the flash, and of functions that are copied to RAM."""
    pieces = [(s.address, s.data) for s in image.segments] + [(c.address, c.data) for c in image.code]

    def read(address: int, size: int) -> bytes:
        for base, data in pieces:
            if base <= address and address + size <= base + len(data):
                return data[address - base : address - base + size]
        raise EmulationError(f"code at {address:#010x} was executed that is not in the ELF")

    return read


def window_trace(trace: Trace, window: Window, start: int, mark_address: int) -> tuple[Trace, NDArray[np.int64]]:
    """The part of a trace that lies in a window, and the row of each of its instructions.

    Args:
        trace: begins when ``start`` instructions had been executed.
        window: complete, opened after the trace began.
        start: instructions before the trace.
        mark_address: where every mark must find itself in the trace.

    Raises:
        EmulationError: trace and marks do not fit together.
    """
    marks = window.marks
    begin, end = (mark.executed - start for mark in (marks[0], marks[-1]))
    places = np.array([mark.executed - start for mark in marks])
    inside = 0 <= begin < end < len(trace.addresses)
    if not inside or bool((trace.addresses[places] != mark_address).any()):
        raise EmulationError(
            f"Renode's trace of {len(trace.addresses)} instructions does not fit the {len(marks)} layer marks in it"
        )
    rows = np.repeat(np.array([mark.row for mark in marks[:-1]], np.int64), np.diff(places))
    chosen = slice(*np.searchsorted(trace.access_index, [begin, end]))
    cut = Trace(
        trace.addresses[begin:end],
        trace.access_index[chosen] - begin,
        trace.access_address[chosen],
        trace.access_writes[chosen],
    )
    return cut, rows


def fold_trace(trace: Trace, rows: NDArray[np.int64], code_at: CodeAt, block_at: BlockAt) -> Rows:
    """Instruction counts by row, as ``counts.fold_edges`` gives them."""
    code, place = _executed_code(trace, code_at)
    return fold_edges(_edges(trace, rows, code, place), block_at)


def fold_accesses(trace: Trace, rows: NDArray[np.int64], code_at: CodeAt, target: Target) -> Rows:
    """Data accesses by row and region: words of the 32-bit bus, as the native hook counts them.

    Raises:
        EmulationError: a store to flash or an unaligned access of a core that cannot do it, which Renode lets pass.
    """
    code, place = _executed_code(trace, code_at)
    at = place[trace.access_index]
    words, size = code.words[at], code.access_bytes[at]
    region = np.full(len(at), len(target.regions))
    for number, known in enumerate(target.regions):
        region[(trace.access_address >= known.base) & (trace.access_address < known.end)] = number
    unaligned = trace.access_address & (size - 1) != 0
    _refuse(trace, region, unaligned, target)
    row = rows[trace.access_index]
    table = np.zeros((int(rows.max(initial=0)) + 1, len(target.regions) + 1, 3), np.uint64)
    kind = np.where(trace.access_writes, STORES, LOADS)
    np.add.at(table, (row, region, kind), words.astype(np.uint64))
    np.add.at(table, (row, region, np.full_like(kind, UNALIGNED)), (words * unaligned).astype(np.uint64))
    return name_accesses(table, (*(known.name for known in target.regions), "peripheral"))


def _refuse(trace: Trace, region: NDArray[np.int64], unaligned: NDArray[np.bool_], target: Target) -> None:
    flash = [number for number, known in enumerate(target.regions) if known.kind == "flash"]
    bad = {"a write to flash": trace.access_writes & np.isin(region, flash)}
    if target.core == "cortex-m0plus":
        bad["an unaligned access, which this core cannot do"] = unaligned
    for what, where in bad.items():
        if where.any():
            first = int(np.flatnonzero(where)[0])
            pc = int(trace.addresses[trace.access_index[first]])
            raise EmulationError(f"{what}: {int(trace.access_address[first]):#010x}, by the instruction at {pc:#010x}")


def _executed_code(trace: Trace, code_at: CodeAt) -> tuple[_Code, NDArray[np.int64]]:
    """Facts of the executed addresses, and the position among them of each instruction of the trace."""
    addresses, place = np.unique(trace.addresses, return_inverse=True)
    facts = [_facts(int(address), code_at) for address in addresses]
    sizes, ends, words, bytes_ = (np.array(column) for column in zip(*facts, strict=True))
    return _Code(addresses, sizes, ends, words, bytes_), place


def _facts(address: int, code_at: CodeAt) -> tuple[int, bool, int, int]:
    """(bytes, whether it ends a basic block, words that it moves, bytes of one access)."""
    size = 4 if code_at(address, 2)[1] >> 3 in (0b11101, 0b11110, 0b11111) else 2
    try:
        instruction = disassemble(code_at(address, size))[0]
    except EmulationError as exc:
        raise EmulationError(f"at {address:#010x}: {exc}") from exc
    return size, _ends_block(instruction), _words(instruction), _access_bytes(instruction)


def _ends_block(instruction: Instruction) -> bool:
    if instruction.kind in ("ld", "ldm"):
        return loads_pc(instruction)
    return instruction.kind in _ENDS_BLOCK or instruction.operands.startswith("pc,")


def _words(instruction: Instruction) -> int:
    if instruction.kind in ("ldm", "stm"):
        return list_words(instruction.operands)
    double = instruction.mnemonic.startswith("v") and instruction.operands.startswith("d")
    return 2 if instruction.kind in ("ldrd", "strd") or double else 1


def _access_bytes(instruction: Instruction) -> int:
    name = instruction.mnemonic.split(".", 1)[0]
    if instruction.kind not in ("ld", "st"):
        return {"tbb": 1, "tbh": 2}.get(name, 4)
    name = name.removeprefix("ldr").removeprefix("str").removeprefix("s").removeprefix("ex")
    return {"b": 1, "h": 2}.get(name[:1], 4)


def _edges(trace: Trace, rows: NDArray[np.int64], code: _Code, place: NDArray[np.int64]) -> NDArray[np.void]:
    """Table of dtype ``EDGE``: how often each block was entered from each other, by row."""
    addresses = trace.addresses.astype(np.int64)
    behind = addresses + code.sizes[place]
    crosses = addresses >> _PAGE_BITS != (behind - 1) >> _PAGE_BITS
    begins = np.ones(len(addresses), bool)
    begins[1:] = (
        (addresses[1:] != behind[:-1])
        | code.ends_block[place[:-1]]
        | (addresses[1:] >> _PAGE_BITS != addresses[:-1] >> _PAGE_BITS)
        | crosses[1:]
    )
    first = np.flatnonzero(begins)
    last = np.append(first[1:], len(addresses)) - 1
    block = addresses[first].astype(np.uint64)
    size = (behind[last] - addresses[first]).astype(np.uint64)
    before, before_size = (np.concatenate([np.zeros(1, np.uint64), column[:-1]]) for column in (block, size))
    keys = np.empty(len(first), [("addresses", "<u8"), ("sizes", "<u8")])
    keys["addresses"] = before << np.uint64(32) | block
    keys["sizes"] = rows[first].astype(np.uint64) << np.uint64(48) | before_size << np.uint64(24) | size
    unique, counts = np.unique(keys, return_counts=True)
    table = np.zeros(len(unique), EDGE)
    for name in ("addresses", "sizes"):
        table[name] = unique[name]
    table["count"] = counts
    return table
