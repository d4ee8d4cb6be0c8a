"""Plays a trace to the native hook that counts for Unicorn: blocks, accesses, caches are counted by the same code."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import unicorn
from numpy.typing import NDArray

from crest.emulators.alignment import accesses_of
from crest.emulators.blocks import Instruction, disassemble, loads_pc
from crest.emulators.elf import ElfImage
from crest.emulators.hooks import Hooks
from crest.emulators.isa import instruction_bytes
from crest.emulators.native import REASON_NONE, REASON_TABLE_FULL, HookState, load_hooks
from crest.emulators.renode.marks import Window
from crest.emulators.renode.trace import Trace
from crest.errors import EmulationError
from crest.targets import Target

# Unicorn cuts basic blocks at these edges; so is done here, for pairing on a Cortex-M7 is counted block by block.
PAGE_BITS: Final = 10
_ENDS_BLOCK: Final = frozenset({"call", "bx", "bu", "bc"})
_GUARD_BLOCKS: Final = 1 << 62
_READ, _WRITE = unicorn.UC_MEM_READ, unicorn.UC_MEM_WRITE

CodeAt = Callable[[int, int], bytes]
_ReadRegister = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(ctypes.c_uint64))
_State = ctypes.POINTER(HookState)
_Block = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32, _State)
_Memory = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_uint64, ctypes.c_int, ctypes.c_int64, _State)
_Stop = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)


@dataclass(frozen=True)
class _Code:
    """What is known of each address that was executed; arrays by position in the sorted addresses."""

    sizes: NDArray[np.int64]
    ends_block: NDArray[np.bool_]
    accesses: NDArray[np.int64]
    access_bytes: NDArray[np.int64]


@dataclass(frozen=True)
class _Blocks:
    """Basic blocks in order of execution: index of the first instruction, address, bytes."""

    first: NDArray[np.int64]
    addresses: NDArray[np.int64]
    sizes: NDArray[np.int64]


def code_reader(image: ElfImage) -> CodeAt:
    """Code at (address, size in bytes), by the ELF: of the flash, and of functions that are copied to RAM."""
    pieces = [(s.address, s.data) for s in image.segments] + [(c.address, c.data) for c in image.code]

    def read(address: int, size: int) -> bytes:
        for base, data in pieces:
            if base <= address and address + size <= base + len(data):
                return data[address - base : address - base + size]
        raise EmulationError(f"code at {address:#010x} was executed that is not in the ELF")

    return read


def window_trace(trace: Trace, window: Window, start: int, mark_address: int) -> Trace:
    """The part of a trace that lies in a window.

    Args:
        trace: begins when ``start`` instructions had been executed.
        window: complete, opened after the trace began.
        start: instructions before the trace.
        mark_address: where every mark must find itself in the trace.

    Raises:
        EmulationError: trace and marks do not fit together.
    """
    places = np.array([mark.executed - start for mark in window.marks])
    begin, end = int(places[0]), int(places[-1])
    inside = 0 <= begin < end < len(trace.addresses)
    if not inside or bool((trace.addresses[places] != mark_address).any()):
        raise EmulationError(
            f"Renode's trace of {len(trace.addresses)} instructions does not fit the {len(places)} layer marks in it"
        )
    chosen = slice(*np.searchsorted(trace.access_index, [begin, end]))
    return Trace(
        trace.addresses[begin:end],
        trace.access_index[chosen] - begin,
        trace.access_address[chosen],
        trace.access_writes[chosen],
    )


def replay(trace: Trace, window: Window, mark_address: int, code_at: CodeAt, target: Target) -> Hooks:
    """Count a window.

    Args:
        trace: of the window alone, from the mark that opens it to the instruction before the one that closes it.
        window: its marks, in order.
        mark_address: entry of the function that marks layers.
        code_at: code at (address, size in bytes).
        target: whose regions and caches are counted.

    Returns:
        Tables that hold one complete window.

    Raises:
        EmulationError: a store to flash, which Renode lets pass, or an unaligned access of a core that has none.
    """
    addresses, place = np.unique(trace.addresses, return_inverse=True)
    facts = [_facts(int(address), code_at) for address in addresses]
    code = _Code(*(np.array(column) for column in zip(*facts, strict=True)))
    number, size = code.accesses[place[trace.access_index]], code.access_bytes[place[trace.access_index]]
    _refuse(trace, size, target)
    blocks = _cut(trace.addresses.astype(np.int64), code, place)
    player = _Player(target, mark_address, window)
    access = _expanded(trace, number, size, blocks)
    waiting = next(access, None)
    for block, (address, bytes_) in enumerate(zip(blocks.addresses.tolist(), blocks.sizes.tolist(), strict=True)):
        player.enter(address, bytes_)
        while waiting is not None and waiting[0] == block:
            player.access(*waiting[1:])
            waiting = next(access, None)
    player.enter(mark_address, 2)
    return player.hooks


class _Player:
    """The native hook with nothing behind it: what it would ask Unicorn for comes from the marks."""

    def __init__(self, target: Target, mark_address: int, window: Window) -> None:
        library = load_hooks()
        self._block = _Block(ctypes.cast(library.crest_block, ctypes.c_void_p).value or 0)
        self._memory = _Memory(ctypes.cast(library.crest_memory, ctypes.c_void_p).value or 0)
        self.hooks = Hooks(
            unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB), target.regions, mark_address, target.memory_geometry
        )
        identities = iter([mark.identity for mark in window.marks])

        def read_register(_uc: int, _number: int, value: ctypes._Pointer[ctypes.c_uint64]) -> int:
            value[0] = next(identities)
            return 0

        self._flag = ctypes.c_uint8()
        self._callbacks = (_ReadRegister(read_register), _Stop(lambda _uc: 0))
        state = self.hooks.state
        state.reg_read, state.emu_stop = (ctypes.cast(f, ctypes.c_void_p).value or 0 for f in self._callbacks)
        state.lazy_pc = ctypes.addressof(self._flag)
        state.guard_blocks = _GUARD_BLOCKS
        state.memory_enabled = 1
        self._pointer = ctypes.pointer(state)

    def enter(self, address: int, size: int) -> None:
        """Execute a basic block."""
        state = self.hooks.state
        while True:
            self._block(None, address, size, self._pointer)
            if state.reason == REASON_NONE:
                return
            if state.reason != REASON_TABLE_FULL:
                raise EmulationError(f"the native hook stops a trace for reason {int(state.reason)}")
            state.reason = REASON_NONE
            self.hooks.grow()

    def access(self, address: int, size: int, kind: int) -> None:
        """Access data, in the block that was entered last."""
        self._memory(None, kind, address, size, 0, self._pointer)


def _expanded(
    trace: Trace, number: NDArray[np.int64], size: NDArray[np.int64], blocks: _Blocks
) -> Iterator[tuple[int, int, int, int]]:
    """(block, address, bytes, kind) of every access as Unicorn reports them: each register of a list by itself."""
    block = np.searchsorted(blocks.first, trace.access_index, "right") - 1
    begin = np.cumsum(number) - number
    step = np.arange(int(number.sum())) - np.repeat(begin, number)
    address = np.repeat(trace.access_address.astype(np.int64), number) + step * np.repeat(size, number)
    kind = np.where(trace.access_writes, _WRITE, _READ)
    columns = (np.repeat(block, number), address, np.repeat(size, number), np.repeat(kind, number))
    return zip(*(column.tolist() for column in columns), strict=True)


def _refuse(trace: Trace, size: NDArray[np.int64], target: Target) -> None:
    address = trace.access_address.astype(np.int64)
    in_flash = np.zeros(len(address), bool)
    for region in target.regions:
        if region.kind == "flash":
            in_flash |= (address >= region.base) & (address < region.end)
    bad = {"a write to flash": trace.access_writes & in_flash}
    if target.core == "cortex-m0plus":
        bad["an unaligned access, which this core cannot do"] = address & (np.minimum(size, 4) - 1) != 0
    for what, where in bad.items():
        if where.any():
            first = int(np.flatnonzero(where)[0])
            pc = int(trace.addresses[trace.access_index[first]])
            raise EmulationError(f"{what}: {int(address[first]):#010x}, by the instruction at {pc:#010x}")


def _facts(address: int, code_at: CodeAt) -> tuple[int, bool, int, int]:
    """(bytes, whether it ends a basic block, accesses that it makes, bytes of each)."""
    size = instruction_bytes(code_at(address, 2), 0)
    try:
        instruction = disassemble(code_at(address, size))[0]
    except EmulationError as exc:
        raise EmulationError(f"at {address:#010x}: {exc}") from exc
    number, access_bytes = next(accesses_of(instruction), (1, 4))
    return size, _ends_block(instruction), number, access_bytes


def _ends_block(instruction: Instruction) -> bool:
    if instruction.kind in ("ld", "ldm"):
        return loads_pc(instruction)
    return instruction.kind in _ENDS_BLOCK or instruction.operands.startswith("pc,")


def _cut(addresses: NDArray[np.int64], code: _Code, place: NDArray[np.int64]) -> _Blocks:
    behind = addresses + code.sizes[place]
    pages, last_pages = addresses >> PAGE_BITS, (behind - 1) >> PAGE_BITS
    begins = np.ones(len(addresses), bool)
    begins[1:] = (
        (addresses[1:] != behind[:-1])
        | code.ends_block[place[:-1]]
        | (pages[1:] != pages[:-1])
        | (pages[1:] != last_pages[1:])
    )
    first = np.flatnonzero(begins)
    last = np.append(first[1:], len(addresses)) - 1
    return _Blocks(first, addresses[first], behind[last] - addresses[first])
