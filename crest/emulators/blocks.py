"""Disassembles a basic block once and counts what it holds, by the classes of ``profile.py``."""

from __future__ import annotations

import functools
import re
from collections import Counter
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from capstone import CS_ARCH_ARM, CS_MODE_MCLASS, CS_MODE_THUMB, CS_MODE_V8, Cs
from numpy.typing import NDArray

from crest.count_names import DERIVED_COUNTS, INSTRUCTION_CLASSES
from crest.errors import EmulationError

# Columns of a block's counts. Taken and not-taken branches are no property of a block but of its edges.
COUNT_NAMES: Final = (*INSTRUCTION_CLASSES, *DERIVED_COUNTS)
COLUMN: Final = {name: index for index, name in enumerate(COUNT_NAMES)}

Access = Literal["load", "store", "none"]

_CONDITION: Final = re.compile(r"(eq|ne|hs|cs|lo|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)$")
REGISTER: Final = re.compile(r"\b(?:r\d+|sb|sl|fp|ip|sp|lr|pc|[sd]\d+)\b")
# Classes whose operands are all read, be it that one is written as well.
_READ_ALL: Final = ("st", "strd", "stm", "bc", "bx", "call", "smlal", "ldm")
_COMPARE: Final = re.compile(r"cmp|cmn|tst|teq")
_UNARY: Final = re.compile(r"mov[sw]?$|mvns?|adr|clz|rbit|rev|[su]xt(b|h|b16)$|rsbs?|neg")
_IT: Final = re.compile(r"it[te]{0,3}$")

_BY_CLASS: Final = {
    "nop": "nop yield sev wfe pld pli dbg",
    "mul": "mul muls",
    "mla": "mla mls",
    "smull": "smull umull",
    "smlal": "smlal umlal umaal",
    "smlad": "smlad smladx smuad smuadx smlsd smlsdx smusd smusdx smlald smlaldx smlsld smlsldx",
    "smlabb": (
        "smlabb smlabt smlatb smlatt smulbb smulbt smultb smultt smulwb smulwt smlawb smlawt smmul smmulr smmla smmlar "
        "smmls smmlsr smlalbb smlalbt smlaltb smlaltt"
    ),
    "div": "sdiv udiv",
    "ld": (
        "ldr ldrb ldrh ldrsb ldrsh ldrt ldrbt ldrht ldrsbt ldrsht ldrex ldrexb ldrexh lda ldab ldah ldaex ldaexb "
        "ldaexh vldr"
    ),
    "ldrd": "ldrd",
    "ldm": "ldm ldmia ldmdb pop vldmia vldmdb vldm vpop",
    "st": "str strb strh strt strbt strht strex strexb strexh stl stlb stlh stlex stlexb stlexh vstr",
    "strd": "strd",
    "stm": "stm stmia stmdb push vstmia vstmdb vstm vpush",
    "call": "bl blx",
    "bx": "bx",
    "bu": "b",
    "bc": "cbz cbnz tbb tbh",
    "sys": "mrs msr dsb dmb isb cps cpsid cpsie wfi svc bkpt udf clrex",
    "alu": (
        "adc adcs add adds addw sub subs subw sbc sbcs rsb rsbs and ands orr orrs orn orns eor eors bic bics mov movs "
        "movw movt mvn mvns cmp cmn tst teq lsl lsls lsr lsrs asr asrs ror rors rrx rrxs adr clz rbit rev rev16 revsh "
        "bfc bfi sbfx ubfx sxtb sxth uxtb uxth sxtb16 uxtb16 sxtab sxtah uxtab uxtah sxtab16 uxtab16 pkhbt pkhtb ssat "
        "usat ssat16 usat16 sel usad8 usada8 qadd qsub qdadd qdsub "
        + " ".join(
            p + o for p in ("s", "q", "sh", "u", "uq", "uh") for o in ("add8", "add16", "sub8", "sub16", "asx", "sax")
        )
    ),
}
_CLASS_OF: Final = {name: kind for kind, names in _BY_CLASS.items() for name in names.split()}


@dataclass(frozen=True)
class Instruction:
    """One instruction of a block: its class, the mnemonic and operands as capstone prints them, its bytes."""

    kind: str
    mnemonic: str
    operands: str
    size: int = 4


@dataclass(frozen=True, eq=False)
class Block:
    """What one execution of a block counts.

    A single load at the very beginning is in no ``ld_*`` column: Unicorn splits basic blocks at page edges, so how
    it is preceded depends on the edge that led here.

    Attributes:
        counts: int64, one for each of ``COUNT_NAMES``; read-only.
        begins_with_load: the first instruction is a single load.
        ends_with: whether the last instruction is a single load or store.
        ends_conditionally: the last instruction is a conditional branch (class ``bc``).
        uses_fpu: some instruction goes to the FPU; ``uses_double``: with double precision.
    """

    counts: NDArray[np.int64]
    begins_with_load: bool
    ends_with: Access
    ends_conditionally: bool
    uses_fpu: bool
    uses_double: bool


def disassemble(code: bytes) -> list[Instruction]:
    """Instructions of Thumb code.

    Raises:
        EmulationError: bytes that are no instruction.
    """
    instructions = []
    decoded = 0
    for _address, size, mnemonic, operands in _disassembler().disasm_lite(code, 0):
        instructions.append(Instruction(classify(mnemonic), mnemonic, operands, size))
        decoded += size
    if decoded != len(code):
        raise EmulationError(f"bytes {code[decoded : decoded + 4].hex()} are no Thumb instruction known to capstone")
    return instructions


def classify(mnemonic: str) -> str:
    """Class of ``profile.INSTRUCTION_CLASSES`` of a mnemonic, condition and width suffix included."""
    base = mnemonic.split(".", 1)[0]
    if base in _CLASS_OF:
        return _CLASS_OF[base]
    if _IT.match(base):
        return "it"
    stem = _CONDITION.sub("", base)
    if stem == "b":
        return "bc"
    if stem in _CLASS_OF:
        return _CLASS_OF[stem]
    return "fp" if base.startswith("v") else "sys"


def is_conditional(mnemonic: str) -> bool:
    """Whether a mnemonic carries a condition."""
    base = mnemonic.split(".", 1)[0]
    return base not in _CLASS_OF and bool(_CONDITION.search(base))


@functools.lru_cache(maxsize=1 << 16)
def analyse(code: bytes) -> Block:
    """Count what a block of code holds; cached by its bytes.

    Instructions behind an IT whose condition fails are counted as executed: they take an issue slot on silicon.
    """
    instructions = disassemble(code)
    counts: Counter[str] = Counter(instructions=len(instructions))
    for index, instruction in enumerate(instructions):
        kind = instruction.kind
        counts[kind] += 1
        if kind == "ldm":
            counts["ldm_words"] += _list_words(instruction.operands)
        elif kind == "stm":
            counts["stm_words"] += _list_words(instruction.operands)
        elif kind == "ld" and index > 0:
            counts[load_column(_access(instructions[index - 1]))] += 1
        if kind in ("ld", "ldm") and loads_pc(instruction):
            counts["pc_loads"] += 1
        if kind == "ld" and index + 1 < len(instructions) and _reads(instructions[index + 1], _loaded(instruction)):
            counts["ld_use"] += 1
    vector = np.array([counts[name] for name in COUNT_NAMES], np.int64)
    vector.flags.writeable = False
    return Block(
        counts=vector,
        begins_with_load=instructions[0].kind == "ld",
        ends_with=_access(instructions[-1]),
        ends_conditionally=instructions[-1].kind == "bc",
        uses_fpu=any(i.mnemonic.startswith("v") for i in instructions),
        uses_double=any(".f64" in i.mnemonic for i in instructions),
    )


def load_column(before: Access) -> str:
    """The count that a single load belongs to, by what stands directly before it in its basic block."""
    return {"load": "ld_pipe", "store": "ld_after_st", "none": "ld_first"}[before]


@functools.cache
def _disassembler() -> Cs:
    return Cs(CS_ARCH_ARM, CS_MODE_THUMB | CS_MODE_MCLASS | CS_MODE_V8)


def _access(instruction: Instruction) -> Access:
    if instruction.kind == "ld":
        return "load"
    return "store" if instruction.kind == "st" else "none"


def _loaded(load: Instruction) -> str:
    return load.operands.split(",", 1)[0]


def _reads(instruction: Instruction, register: str) -> bool:
    """Whether a register is among what an instruction reads: all that it names but a first one that it only writes."""
    names = REGISTER.findall(instruction.operands)
    mnemonic = instruction.mnemonic.split(".", 1)[0]
    writes_only = instruction.kind not in _READ_ALL and not _COMPARE.match(mnemonic)
    if instruction.kind == "alu" and instruction.operands.count(",") == 1 and not _UNARY.match(mnemonic):
        writes_only = False  # the two-operand form reads its destination
    return register in names[writes_only:]


def _list_words(operands: str) -> int:
    registers = operands[operands.index("{") + 1 : operands.index("}")].split(",")
    return sum(2 if register.strip().startswith("d") else 1 for register in registers)


def loads_pc(instruction: Instruction) -> bool:
    """Whether a load (class ``ld`` or ``ldm``) is a branch."""
    if instruction.kind == "ld":
        return instruction.operands.startswith("pc,")
    return "pc}" in instruction.operands
