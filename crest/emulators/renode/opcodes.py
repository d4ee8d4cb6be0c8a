"""Instruction classes by Renode's opcode counters, which see the first halfword of an instruction only.

A pattern is 16 characters of 0, 1 and *; the first one installed that matches counts. Where the first halfword leaves
several classes open, the code of the ELF decides for each of its first halfwords; where even that leaves several, the
count belongs to none of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from crest.count_names import DERIVED_COUNTS, INSTRUCTION_CLASSES
from crest.emulators.blocks import disassemble
from crest.emulators.elf import ElfImage
from crest.errors import EmulationError
from crest.targets import CoreName

COUNTERS_MAX: Final = 2048
_COUNTER_MODULUS: Final = 1 << 32

# First halfwords (ARM DDI 0403, A5; capstone has the same opinion, tests/emulators/test_renode_opcodes.py).
_NARROW: Final = {
    "001*************": "alu", "000*************": "alu",
    "0100001101******": "mul", "010000**********": "alu",
    "010001110*******": "bx", "010001111*******": "call", "010001**********": "alu",
    "01001***********": "ld",
    "010100**********": "st", "0101010*********": "st", "0101************": "ld",
    "011*0***********": "st", "011*1***********": "ld",
    "100*0***********": "st", "100*1***********": "ld",
    "1010************": "alu",
    "1011*0*1********": "bc", "10110000********": "alu", "10110010********": "alu",
    "1011010*********": "stm", "10110110********": "sys", "10111010********": "alu",
    "1011110*********": "ldm", "10111110********": "sys",
    "1011111100110000": "sys", "10111111****0000": "nop", "10111111********": "it",
    "11000***********": "stm", "11001***********": "ldm",
    "1101111*********": "sys", "1101************": "bc",
    "11100***********": "bu",
}  # fmt: skip
_WIDE: Final = {
    "1110100**0*0****": "stm", "1110100**0*1****": "ldm",
    "111010000100****": "st", "111010000101****": "ld", "111010001100****": "st", "111010001101****": "ld|bc",
    "1110100**1*0****": "strd", "1110100**1*1****": "ldrd",
    "1110101*********": "alu",
    "11101101**00****": "st", "11101101**01****": "ld",
    "111011001**0****": "stm", "111011001**1****": "ldm",
    "11101101**10****": "stm", "11101101**11****": "ldm",
    "11101100********": "fp", "11101110********": "fp", "11111110********": "fp",
    "11110***********": "alu|call|bc|bu|nop|sys",
    "111110000**0****": "st", "111110001**0****": "st",
    "11111000*0*1****": "ld|nop", "11111001*0*1****": "ld|nop", "11111000*101****": "ld",
    "111110110000****": "mul|mla", "11111011000*****": "smlabb",
    "11111011001*****": "smlad|smlabb", "11111011010*****": "smlad|smlabb",
    "111110110110****": "smlabb", "111110110111****": "alu",
    "1111101110*0****": "smull", "1111101110*1****": "div",
    "111110111100****": "smlal|smlabb|smlad", "111110111101****": "smlad", "111110111110****": "smlal",
    "11111010********": "alu",
}  # fmt: skip
# ARMv6-M has few wide instructions, and almost all of them are calls.
_WIDE_V6M: Final = {
    "111100111011****": "call|sys", "11110011100*****": "call|sys", "111100111110****": "call|sys",
    "111101111111****": "call|sys", "11110***********": "call",
}  # fmt: skip
_ANYTHING: Final = "*" * 16
_DERIVED_SEEN: Final = frozenset({"instructions"})


@dataclass(frozen=True)
class OpcodeCounter:
    """A pattern and the classes that it may count; an empty set for what no pattern knows."""

    pattern: str
    classes: frozenset[str]


def opcode_counters(image: ElfImage, core: CoreName) -> tuple[OpcodeCounter, ...]:
    """The counters to install for a program, in this order."""
    table = {**_NARROW, **(_WIDE_V6M if core == "cortex-m0plus" else _WIDE)}
    general = [OpcodeCounter(pattern, frozenset(kinds.split("|"))) for pattern, kinds in table.items()]
    decided = sorted(_decided_by_code(image, general).items())[: COUNTERS_MAX - len(general) - 1]
    special = [OpcodeCounter(f"{half:016b}", kinds) for half, kinds in decided]
    return (*special, *general, OpcodeCounter(_ANYTHING, frozenset()))


def count_classes(counters: tuple[OpcodeCounter, ...], deltas: tuple[int, ...], instructions: int) -> Counter[str]:
    """Counts of one stretch of a run.

    Args:
        counters: what was installed.
        deltas: how far each counter moved; it has 32 bits.
        instructions: exact number of instructions.

    Returns:
        ``instructions``, each class as far as it is certain, and ``unclassified`` for the rest: what is ambiguous, and
        what an IT block skipped, for Renode does not count that.
    """
    counts: Counter[str] = Counter(instructions=instructions)
    for counter, delta in zip(counters, deltas, strict=True):
        if len(counter.classes) == 1:
            counts[next(iter(counter.classes))] += delta % _COUNTER_MODULUS
    counts["unclassified"] = instructions - sum(counts[kind] for kind in INSTRUCTION_CLASSES)
    if counts["unclassified"] < 0:
        raise EmulationError(
            f"Renode's opcode counters found {-counts['unclassified']} instructions more than were executed"
        )
    return +counts


def unseen_counts(counters: tuple[OpcodeCounter, ...], deltas: tuple[int, ...]) -> tuple[str, ...]:
    """Names that these counters cannot tell over a window: derived counts, and the classes of an ambiguous pattern."""
    open_classes: set[str] = set()
    for counter, delta in zip(counters, deltas, strict=True):
        if delta % _COUNTER_MODULUS and len(counter.classes) != 1:
            open_classes |= counter.classes or set(INSTRUCTION_CLASSES)
    derived = (name for name in DERIVED_COUNTS if name not in _DERIVED_SEEN)
    return (*(kind for kind in INSTRUCTION_CLASSES if kind in open_classes), *derived)


def _decided_by_code(image: ElfImage, general: list[OpcodeCounter]) -> dict[int, frozenset[str]]:
    """Classes in the program's code of each first halfword that is ambiguous by itself."""
    found: dict[int, set[str]] = {}
    ambiguous: dict[int, bool] = {}
    for code in image.code:
        for half, instruction in _wide_instructions(code.data):
            if half not in ambiguous:
                first = next((c for c in general if matches(c.pattern, half)), None)
                ambiguous[half] = first is not None and len(first.classes) > 1
            if ambiguous[half]:
                found.setdefault(half, set()).add(_class_of(instruction))
    return {half: frozenset(kinds) for half, kinds in found.items() if kinds <= set(INSTRUCTION_CLASSES)}


def _wide_instructions(code: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + 2 <= len(code):
        half = code[offset] | code[offset + 1] << 8
        size = 4 if half >= 0xE800 else 2
        if size == 4:
            yield half, code[offset : offset + 4]
        offset += size


def _class_of(instruction: bytes) -> str:
    try:
        return disassemble(instruction)[0].kind
    except EmulationError:
        return "?"


def matches(pattern: str, half: int) -> bool:
    """Whether a first halfword is one of a pattern."""
    return all(p in ("*", b) for p, b in zip(pattern, f"{half:016b}", strict=True))
