"""What only running firmware can tell: how much arena the interpreter needs, and how deep its stack goes.

The firmware prepares the interpreter and runs the model once before it listens to the host; its report stays in RAM.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from elftools.elf.elffile import ELFFile

from crest.compiler.memory_report import Stack
from crest.emulators.base import STACK_LIMIT_SYMBOL
from crest.emulators.unicorn_engine import RAM_FILL, UnicornEngine
from crest.errors import EmulationError
from crest.targets import Target

_REPORT: Final = struct.Struct("<IIIII")
_REPORT_SYMBOL: Final = "tflm_report"
STACK_TOP: Final = "crest_stack_top"


class Stage(IntEnum):
    """How far the firmware came; the numbers are those of ``harness_tflm.cc``."""

    RESET = 0
    CONSTRUCT = 1
    ALLOCATE = 2
    REFUSED = 3
    INVOKE = 4
    READY = 5


@dataclass(frozen=True)
class Report:
    """What the firmware says of itself, and what its stack looks like.

    Attributes:
        stage: where it stopped; READY when all went well.
        refused: position of the operator that its kernel could not prepare; None when there is none.
        arena_used_bytes: what the interpreter needs; 0 before it knows.
        stack: highest use of the stack, by the interpreter and from reset on.
        failure: the fault that stopped it, in words.
    """

    stage: Stage
    refused: int | None
    arena_used_bytes: int
    stack: Stack
    failure: str | None


def probe(elf: bytes, target: Target) -> Report:
    """Boot firmware until it waits for the host, or faults."""
    file = ELFFile(io.BytesIO(elf))
    address, limit, top = (symbol_address(file, name) for name in (_REPORT_SYMBOL, STACK_LIMIT_SYMBOL, STACK_TOP))
    machine = UnicornEngine().boot(elf, target)
    failure = None
    try:
        try:
            machine.receive()
        except EmulationError as exc:
            failure = exc.message
        stage, prepared, refused, arena, pointer = _REPORT.unpack(machine.read_ram(address, _REPORT.size))
        lowest = _lowest_use(machine.read_ram(limit, top - limit), limit)
    finally:
        machine.close()
    return Report(
        stage=Stage(stage) if stage in set(Stage) else Stage.RESET,
        refused=prepared - 1 if refused else None,
        arena_used_bytes=arena,
        stack=Stack(max(pointer - lowest, 0), top - lowest),
        failure=failure,
    )


def symbol_address(file: ELFFile, name: str) -> int:
    """The value of a symbol of firmware.

    Raises:
        EmulationError: it has none of that name.
    """
    found = file.get_section_by_name(".symtab").get_symbol_by_name(name)
    if not found:
        raise EmulationError(f"the firmware has no symbol {name}")
    return int(found[0]["st_value"])


def _lowest_use(stack: bytes, base: int) -> int:
    """Address of the lowest byte that is not as the emulator left it at power-up."""
    return base + len(stack) - len(stack.lstrip(RAM_FILL))
