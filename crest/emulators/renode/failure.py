"""Says what went wrong inside Renode, where, and with which registers.

Renode's exit code and prompt tell nothing: faults are seen at the handlers of the vector table, accesses to nowhere
only in the log.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Final

from crest.emulators.elf import ElfImage
from crest.emulators.stops import stop_error
from crest.errors import EmulationError

Execute = Callable[[str], str]

_NOWHERE: Final = re.compile(
    rb"(?:\[cpu: 0x([0-9A-Fa-f]+)\] )?(Read|Write)(\w+) (?:from|to) non existing peripheral at 0x([0-9A-Fa-f]+)"
)
_CPU_ERROR: Final = re.compile(rb"\[ERROR\] (?:cpu|sysbus)\S*: (.+)")
_HANDLERS: Final = range(3, 7)  # HardFault, MemManage, BusFault, UsageFault
_REGISTERS: Final = (*(f"r{number}" for number in range(13)), "sp", "lr", "pc")
_STACKED_PC: Final = 24
_WIDTH_BYTES: Final = {b"Byte": 1, b"Word": 2, b"DoubleWord": 4, b"QuadWord": 8}


def read_number(execute: Execute, command: str) -> int:
    """The number that a command prints.

    Raises:
        EmulationError: it prints something else.
    """
    said = execute(command)
    try:
        return int(said.strip(), 0)
    except ValueError:
        raise EmulationError(f"Renode answers `{command}` with {said[:100]!r}, a number was expected") from None


def fault_handlers(image: ElfImage) -> list[int]:
    """Entries of the fault handlers that the vector table names, as far as it goes."""
    table = next((s for s in image.segments if s.address <= image.vectors < s.address + len(s.data)), None)
    if table is None:
        return []
    begin = image.vectors - table.address
    words = [word for (word,) in struct.iter_unpack("<I", table.data[begin : begin + 4 * _HANDLERS.stop])]
    functions = {address for address, _ in image.functions}
    named = (words[number] for number in _HANDLERS if number < len(words))
    reset = words[1] & ~1 if len(words) > 1 else 0
    return sorted({word & ~1 for word in named if word & 1 and word & ~1 in functions} - {reset})


def logged_failure(log: bytes) -> str | None:
    """What a piece of Renode's log says against the firmware; None when it says nothing."""
    if match := _NOWHERE.search(log):
        pc, verb, width, address = match.groups()
        size = f"{_WIDTH_BYTES[width]} bytes " if width in _WIDTH_BYTES else ""
        by = f", by the instruction at 0x{int(pc, 16):08x}" if pc else ""
        return f"{verb.decode().lower()} where the target has nothing: {size}at 0x{int(address, 16):08x}{by}"
    if match := _CPU_ERROR.search(log):
        return f"Renode reports: {match.group(1).decode('utf-8', 'replace').strip()[:300]}"
    return None


def stopped(text: str, pc: int, execute: Execute, image: ElfImage, place: str) -> EmulationError:
    """The error for ``text`` of a machine that stands at ``pc``."""
    registers = {name: read_number(execute, f"cpu GetRegister {number}") for number, name in enumerate(_REGISTERS)}
    return stop_error(text, pc, image, place, registers)


def describe_fault(stack: int, execute: Execute, image: ElfImage, place: str) -> EmulationError:
    """The error for a machine that stands at the entry of a fault handler: where it came from is on the stack."""
    pc = read_number(execute, f"sysbus ReadDoubleWord {stack + _STACKED_PC:#x}")
    return stopped("a fault exception: an instruction or an access that the core cannot do", pc, execute, image, place)
