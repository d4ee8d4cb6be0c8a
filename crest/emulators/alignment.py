"""Finds accesses that must be aligned on ARMv7-M and were not, where Unicorn lets them pass.

The native hook sees an access, not its instruction: it notes the block and how many accesses of that execution came
before. Counting what the instructions of the block access leads back to the instruction. Behind conditional accesses
several may be meant; it is an error only if all of them are faults.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from crest.emulators.blocks import Instruction, disassemble, is_conditional
from crest.emulators.elf import ElfImage
from crest.emulators.isa import instruction_bytes
from crest.errors import EmulationError

_MULTIPLE: Final = ("ldm", "stm")
_DOUBLE: Final = ("ldrd", "strd")


@dataclass(frozen=True)
class _Place:
    """An instruction that accesses memory.

    Attributes:
        first: least and greatest number of accesses before it in its block.
        number: of accesses that it makes.
    """

    offset: int
    text: str
    first: tuple[int, int]
    number: int
    access_bytes: int
    must_be_aligned: bool


def refuse_unaligned(places: NDArray[np.void], code_at: Callable[[int, int], bytes], image: ElfImage) -> None:
    """Refuse accesses that are faults on silicon.

    Args:
        places: unaligned accesses, dtype ``counts.SLOT``; free slots have count 0.
        code_at: code at (address, size in bytes).
        image: whose symbols name the place.

    Raises:
        EmulationError: naming the instruction and where it stands.
    """
    used = np.sort(places[places["count"] > 0], order="key")
    for key, sizes in zip(used["key"].tolist(), used["sizes"].tolist(), strict=True):
        block, access = key >> 32, key & 0xFFFFFFFF
        found = _fault(code_at(block, sizes >> 24), access, sizes & 0xFFFFFF)
        if found is not None:
            address = block + found.offset
            raise EmulationError(
                f"instruction {found.text!r} at {address:#010x} ({image.nearest_symbol(address)}) accesses an address "
                "that is not a multiple of 4: a fault on silicon",
                hint="only LDR, LDRH, STR and STRH may be unaligned; align the data, or copy it by bytes",
            )


def _fault(code: bytes, access: int, access_bytes: int) -> _Place | None:
    candidates = [
        place
        for place in _places(code)
        if place.access_bytes == access_bytes and place.first[0] <= access < place.first[1] + place.number
    ]
    return candidates[0] if candidates and all(place.must_be_aligned for place in candidates) else None


@functools.lru_cache(maxsize=1 << 12)
def _places(code: bytes) -> tuple[_Place, ...]:
    places = []
    offset = least = most = 0
    for instruction in disassemble(code):
        for number, size in accesses_of(instruction):
            text = f"{instruction.mnemonic} {instruction.operands}"
            places.append(_Place(offset, text, (least, most), number, size, _must_be_aligned(instruction)))
            most += number
            least += 0 if is_conditional(instruction.mnemonic) else number
        offset += instruction_bytes(code, offset)
    return tuple(places)


def accesses_of(instruction: Instruction) -> Iterator[tuple[int, int]]:
    """(number, bytes each) of the accesses of an instruction."""
    mnemonic, operands = instruction.mnemonic.split(".", 1)[0], instruction.operands
    if instruction.kind in _MULTIPLE:
        registers = operands[operands.index("{") + 1 : operands.index("}")].split(",")
        yield len(registers), 8 if registers[0].strip().startswith("d") else 4
    elif instruction.kind in _DOUBLE:
        yield 2, 4
    elif instruction.kind in ("ld", "st"):
        yield 1, _bytes(mnemonic, operands)
    elif mnemonic in ("tbb", "tbh"):
        yield 1, 1 if mnemonic == "tbb" else 2


def _bytes(mnemonic: str, operands: str) -> int:
    if mnemonic.startswith("v"):
        return 8 if operands.startswith("d") else 4
    width = mnemonic.removeprefix("ldr").removeprefix("str").removeprefix("ex").removeprefix("s").removeprefix("ex")[:1]
    return {"b": 1, "h": 2}.get(width, 4)


def _must_be_aligned(instruction: Instruction) -> bool:
    return instruction.kind in (*_MULTIPLE, *_DOUBLE) or instruction.mnemonic.startswith("v")
