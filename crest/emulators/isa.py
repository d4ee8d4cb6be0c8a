"""What the emulated core would execute though the target's core cannot: CPU models are laxer than silicon."""

from __future__ import annotations

import functools
import struct
from typing import Final

from crest.emulators.blocks import Block, analyse, disassemble
from crest.emulators.elf import ElfImage
from crest.emulators.pairing import analyse_dual_issue
from crest.errors import EmulationError
from crest.targets import Target

_FPV5: Final = ("vsel", "vmaxnm", "vminnm", "vrint", "vcvta", "vcvtn", "vcvtp", "vcvtm")
_MOVES_OF_64_BITS: Final = ("vldr", "vstr", "vldm", "vstm", "vpush", "vpop")
_HINT: Final = "compile for the target's core (-mcpu) and FPU"


def lint_elf(image: ElfImage, target: Target) -> None:
    """Refuse code that the core does not have; needs the mapping symbols of an unstripped ELF.

    Raises:
        EmulationError: naming the instruction and where it stands.
    """
    if target.core != "cortex-m0plus":
        return
    for code in image.code:
        _refuse_wide(code.data, code.address, image)


def lint_fpu(image: ElfImage, target: Target) -> None:
    """Refuse floating-point code that the target's FPU does not have, whether it is executed or not.

    For an engine whose CPU model has a larger FPU and that does not see each block it executes: Renode's Cortex-M4
    takes double precision, and all its cores have an FPU. Needs the mapping symbols of an unstripped ELF.

    Raises:
        EmulationError: naming the instruction and where it stands.
    """
    for code in image.code:
        found = first_beyond_fpu(code.data, target.fpu, target.core == "cortex-m7")
        if found is not None:
            address = code.address + found[0]
            raise EmulationError(
                f"instruction {found[1]!r} at {address:#010x} ({image.nearest_symbol(address)}) does not exist on the "
                f"target: its FPU is {target.fpu}",
                hint=_HINT,
            )


def check_block(code: bytes, address: int, image: ElfImage, target: Target) -> Block:
    """Analyse an executed block and refuse instructions that the target does not have.

    Raises:
        EmulationError: an ARMv7-M instruction on ARMv6-M, or floating point that the FPU does not have.
    """
    block = analyse_dual_issue(code) if target.core == "cortex-m7" else analyse(code)
    if target.core == "cortex-m0plus":
        _refuse_wide(code, address, image)
    missing = None
    if block.uses_fpu and target.fpu == "none":
        missing = "floating-point instructions, and the target has no FPU"
    elif block.uses_double and target.fpu != "double":
        missing = "double-precision instructions, and the target's FPU is single-precision"
    if missing:
        raise EmulationError(
            f"the block at {address:#010x} ({image.nearest_symbol(address)}) has {missing}", hint=_HINT
        )
    return block


def _refuse_wide(code: bytes, address: int, image: ElfImage) -> None:
    offset = first_beyond_v6m(code)
    if offset is None:
        return
    try:
        instruction = disassemble(code[offset : offset + instruction_bytes(code, offset)])[0]
        text = f"{instruction.mnemonic} {instruction.operands}".strip()
    except EmulationError:
        text = code[offset : offset + 4].hex()
    raise EmulationError(
        f"instruction {text!r} at {address + offset:#010x} ({image.nearest_symbol(address + offset)}) "
        "does not exist in ARMv6-M",
        hint=_HINT,
    )


@functools.lru_cache(maxsize=1 << 14)
def first_beyond_v6m(code: bytes) -> int | None:
    """Offset of the first instruction that ARMv6-M does not have (ARM DDI 0419, chapter A5); None when all is well."""
    offset = 0
    while offset + 2 <= len(code):
        size = instruction_bytes(code, offset)
        if offset + size > len(code):
            return offset
        halves = struct.unpack_from("<HH" if size == 4 else "<H", code, offset)
        if not (_wide_in_v6m(*halves) if size == 4 else _narrow_in_v6m(halves[0])):
            return offset
        offset += size
    return None


@functools.lru_cache(maxsize=1 << 14)
def first_beyond_fpu(code: bytes, fpu: str, version_5: bool) -> tuple[int, str] | None:
    """(offset, text) of the first instruction that an FPU does not have; None when all is well.

    Args:
        code: Thumb code.
        fpu: none, single or double.
        version_5: whether it has the instructions of FPv5, as the Cortex-M7 does.
    """
    offset = 0
    while offset + 2 <= len(code):
        size = instruction_bytes(code, offset)
        if size == 4 and code[offset + 1] & 0xEC == 0xEC:  # the coprocessor space: hw1 is 111x 11xx
            instruction = disassemble(code[offset : offset + size])[0]
            double = ".f64" in instruction.mnemonic and not instruction.mnemonic.startswith(_MOVES_OF_64_BITS)
            beyond = fpu == "none" or (double and fpu != "double")
            if beyond or (not version_5 and instruction.mnemonic.startswith(_FPV5)):
                return offset, f"{instruction.mnemonic} {instruction.operands}".strip()
        offset += size
    return None


def instruction_bytes(code: bytes, offset: int) -> int:
    """Size of the Thumb instruction at an offset."""
    return 4 if code[offset + 1] >> 3 in (0b11101, 0b11110, 0b11111) else 2


def _narrow_in_v6m(half: int) -> bool:
    if half & 0xF500 == 0xB100:  # CBZ, CBNZ
        return False
    if half & 0xFF00 == 0xBF00:  # hints have an empty mask, IT does not
        return half & 0xF == 0
    return half & 0xFFF7 != 0xB650  # SETEND


def _wide_in_v6m(first: int, second: int) -> bool:
    if first & 0xF800 == 0xF000 and second & 0xD000 == 0xD000:  # BL
        return True
    if first & 0xFFE0 == 0xF380 and second & 0xD000 == 0x8000:  # MSR
        return True
    if first == 0xF3EF and second & 0xD000 == 0x8000:  # MRS
        return True
    if first == 0xF3BF and second & 0xFF00 == 0x8F00 and second & 0xF0 in (0x40, 0x50, 0x60):  # DSB, DMB, ISB
        return True
    return first & 0xFFF0 == 0xF7F0 and second & 0xF000 == 0xA000  # UDF.W
