"""What the issue logic of a dual-issue core looks at in an instruction."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from crest.emulators.blocks import REGISTER, Instruction, is_conditional
from crest.emulators.issue_rules import Reader, Result

FLAGS: Final = "flags"
PRODUCTS: Final = frozenset(("mul", "mla", "smull", "smlal", "smlad", "smlabb"))
LOADS: Final = frozenset(("ld", "ldrd", "ldm"))
_BRANCHES: Final = frozenset(("bc", "bu", "bx", "call"))
_ALONE: Final = frozenset(("ldm", "stm", "ldrd", "strd", "div", "sys"))

_SHIFTED: Final = re.compile(r"(\w+), (?:(?:lsl|lsr|asr|ror) #|rrx)")
_CONSTANT: Final = re.compile(r"#(0x[0-9a-f]+|\d+)$")
_OFFSET: Final = re.compile(r"\[(\w+)(?:, #(-?)(0x[0-9a-f]+|\d+))?\]")

_SHIFTS: Final = re.compile(r"(ls[lr]|asr|ror)s?$")
_SIMPLE: Final = re.compile(r"(add|sub|mov)[sw]?$|adr$")
_REVERSES: Final = re.compile(r"rev(16|sh)?$|rbit$")
_FIELDS: Final = re.compile(r"([su]bfx|bf[ci])$")
_EXTENDS: Final = re.compile(r"[su]xt(a?)(b|h|b16)$")
_PACKS: Final = re.compile(r"pkh(bt|tb)$")
_SATURATES: Final = re.compile(r"[su]sat(16)?$|qd?(add|sub)$|u?q(add8|add16|sub8|sub16|asx|sax)$|usada?8$")
_PARALLEL: Final = re.compile(r"(sel|clz)$|(s|sh|u|uh)(add8|add16|sub8|sub16|asx|sax)$")
_EARLY: Final = re.compile(r"[su]bfx$|rev(16|sh)?$|rbit$|[su]sat$|qd(add|sub)$|pkhtb$")
_SETS_FLAGS: Final = re.compile(
    r"(cmp|cmn|tst|teq|(ad[dc]|sub|sbc|rsb|and|orr|orn|eor|bic|mov|mvn|ls[lr]|asr|ror|rrx|mul)s)$"
)
_READS_FLAGS: Final = re.compile(r"(adcs?|sbcs?|rrxs?|sel)$")
# Two operands, the first of which is not read.
_UNARY: Final = re.compile(r"(mov[sw]?|mvns?|adr|clz|rbit|rev(16|sh)?|[su]xt(b|h|b16)|rsbs?|mrs)$")
_LONG_PRODUCT: Final = re.compile(r"[su]mull|[su]mlal|umaal|smls?ld")
_NARROW: Final = re.compile(r"(ldrs?|str|ld[ar]e?x?|st[lr]e?x?)[bh]")


@dataclass(frozen=True)
class Op:
    """An instruction as the issue logic sees it.

    Attributes:
        reads: registers, and as what they are read.
        result: what ``written`` becomes; ``base_written`` is the address register that a load or store moves on.
        may_be_early: an addition or a shift, which executes early where slot and operands allow it.
        early_in_older_slot_only: it does so in the older slot only.
        older_only: cannot be the younger of a pair.
        shifter: uses the one shifter of the early stage.
        word: base and offset of the address of a single load or store, where they tell it.
        cycles: for which it is issued.
        is_short: has 16 bits.
    """

    kind: str
    name: str
    reads: tuple[tuple[str, Reader], ...]
    written: frozenset[str]
    result: Result
    base_written: str | None = None
    may_be_early: bool = False
    early_in_older_slot_only: bool = False
    older_only: bool = False
    shifter: bool = False
    narrow_store: bool = False
    word: tuple[str, int] | None = None
    cycles: int = 1
    is_short: bool = False

    @property
    def alone(self) -> bool:
        """Pairs with nothing."""
        return self.kind in _ALONE or self.name in ("tbb", "tbh") or (self.name in ("vldr", "vstr") and self._double)

    @property
    def is_branch(self) -> bool:
        """Writes the program counter."""
        return self.kind in _BRANCHES or "pc" in self.written

    @property
    def is_fused(self) -> bool:
        """A multiplication with an addition on the FPU."""
        return self.result in ("fp_fused", "fp_chained")

    @property
    def _double(self) -> bool:
        return len(self.written | {register for register, reader in self.reads if reader == "store"}) > 1


def decode(instruction: Instruction) -> Op:
    """Decode an instruction of a block."""
    name, operands, kind = instruction.mnemonic.split(".")[0], instruction.operands, instruction.kind
    if kind == "fp" or (name.startswith("v") and kind in ("ld", "st")):
        return _decode_fp(instruction, name)
    names = REGISTER.findall(operands)
    targets = _targets(name, operands, kind, names)
    conditional = kind not in _BRANCHES and is_conditional(name)
    reads = _reads(name, operands, kind, names, targets)
    two_operands = len(targets) == 1 and operands.count(",") == 1 and kind == "alu" and not _UNARY.match(name)
    if conditional or name in ("movt", "bfi", "bfc") or two_operands:
        reads.extend((target, "alu") for target in targets)
    # A conditional branch is predicted: it does not wait for the flags.
    if conditional or _READS_FLAGS.match(name):
        reads.append((FLAGS, "alu"))
    older_only = any(rule.match(name) for rule in (_FIELDS, _EXTENDS, _PACKS, _SATURATES, _PARALLEL, _REVERSES))
    inline = kind == "alu" and not older_only and bool(_SHIFTED.search(operands))
    simple = kind == "alu" and not conditional and not inline
    return Op(
        kind=kind,
        name=name,
        reads=tuple(reads),
        written=frozenset(targets | ({FLAGS} if _SETS_FLAGS.match(name) else set())),
        result=_result(name, kind),
        base_written=_written_back(operands, kind),
        may_be_early=simple and bool(_SIMPLE.match(name) or _SHIFTS.match(name)),
        early_in_older_slot_only=bool(_SIMPLE.match(name)),
        older_only=older_only,
        shifter=inline
        or _shifts_constant(kind, name, operands)
        or any(rule.match(name) for rule in (_FIELDS, _EXTENDS, _PACKS, _REVERSES, _SATURATES)),
        narrow_store=kind == "st" and bool(_NARROW.match(name)),
        word=_word(operands) if kind in ("ld", "st") else None,
        cycles=_cycles(name, operands, kind),
        is_short=instruction.size == 2,
    )


def _reads(name: str, operands: str, kind: str, names: Sequence[str], targets: set[str]) -> list[tuple[str, Reader]]:
    address = _address(operands, names)
    if kind in LOADS:
        return [(register, "early") for register in address]
    if kind in ("st", "strd", "stm"):
        data = set(_single(names)) - address
        return [*((r, "early") for r in address), *((r, "store") for r in data)]
    if kind in _BRANCHES or kind in ("nop", "it"):
        return []
    sources = list(names[len(targets) :])
    if kind in PRODUCTS:
        accumulators = _accumulators(name, kind, names, targets)
        return [
            *((r, "factor") for r in sources if r not in accumulators or sources.count(r) > 1),
            *((r, "accumulator") for r in accumulators),
        ]
    if _EARLY.match(name):
        return [(r, "early") for r in sources]
    if (found := _EXTENDS.match(name)) or _PACKS.match(name) or name == "bfi":
        late = found is not None and not found[1]
        return [(r, "alu" if late or at < len(sources) - 1 else "early") for at, r in enumerate(sources)]
    shifted = _SHIFTED.search(operands)
    return [(r, "early" if shifted and r == shifted[1] else "alu") for r in sources]


def _result(name: str, kind: str) -> Result:
    if kind in PRODUCTS:
        return "product"
    if kind in LOADS:
        return "fp_word" if name.startswith("v") else "narrow" if _NARROW.match(name) else "word"
    if _REVERSES.match(name):
        return "reversed"
    return "saturated" if _SATURATES.match(name) else "late"


def _targets(name: str, operands: str, kind: str, names: Sequence[str]) -> set[str]:
    if kind == "ldm":
        return set(_single(REGISTER.findall(operands[operands.index("{") :])))
    if kind in ("st", "strd", "stm", "nop", "it", *_BRANCHES) or name in ("cmp", "cmn", "tst", "teq"):
        return set()
    return set(names[: 2 if kind == "ldrd" or _LONG_PRODUCT.match(name) else 1])


def _accumulators(name: str, kind: str, names: Sequence[str], targets: set[str]) -> set[str]:
    if _LONG_PRODUCT.match(name):
        return set() if kind == "smull" else targets
    return {names[3]} if len(names) == 4 else set()


def _address(operands: str, names: Sequence[str]) -> set[str]:
    """Registers of an address: within brackets, or the base of a list."""
    if "[" in operands:
        return set(REGISTER.findall(operands[operands.index("[") :]))
    return {"sp"} if operands.startswith("{") else set(names[:1])


def _written_back(operands: str, kind: str) -> str | None:
    if kind in ("ldm", "stm"):
        return "sp" if operands.startswith("{") else operands.split("!", maxsplit=1)[0] if "!" in operands else None
    if kind in ("ld", "st", "ldrd", "strd") and (operands.endswith("!") or "]," in operands):
        return operands[operands.index("[") + 1 :].split(",", maxsplit=1)[0].rstrip("]")
    return None


def _word(operands: str) -> tuple[str, int] | None:
    """Base and offset of an address that is known relative to its base."""
    found = _OFFSET.search(operands)
    if not found:
        return None
    offset = int(found[3] or "0", 0)
    return found[1], -offset if found[2] else offset


def _cycles(name: str, operands: str, kind: str) -> int:
    if name in ("tbb", "tbh"):
        return 2
    if kind not in ("ldm", "stm"):
        return 1
    registers = REGISTER.findall(operands[operands.index("{") :])
    words = sum(2 if register.startswith("d") else 1 for register in registers)
    return max(1, -(-words // 2))


def _shifts_constant(kind: str, name: str, operands: str) -> bool:
    """An immediate that is a shifted byte: neither small nor a pattern of one byte."""
    found = _CONSTANT.search(operands)
    if kind != "alu" or not found or name in ("movw", "movt", "addw", "subw", "adr"):
        return False
    value = int(found[1], 0)
    low, second = value & 0xFF, value >> 8 & 0xFF
    return value > 0xFF and value not in (low * 0x00010001, second * 0x01000100, low * 0x01010101)


def _single(registers: Sequence[str]) -> list[str]:
    """Registers of double precision as the two of single precision that they are."""
    halves: list[str] = []
    for register in registers:
        number = int(register[1:]) if register.startswith("d") else None
        halves += [register] if number is None else [f"s{2 * number}", f"s{2 * number + 1}"]
    return halves


def _decode_fp(instruction: Instruction, name: str) -> Op:
    operands, kind = instruction.operands, instruction.kind
    names = REGISTER.findall(operands)
    first = frozenset(_single(names[:1]))
    rest = _single(names[1:])
    if kind in ("ld", "st"):
        address: list[tuple[str, Reader]] = [(register, "early") for register in _address(operands, names)]
        stored: list[tuple[str, Reader]] = [(register, "store") for register in first] if kind == "st" else []
        written = first if kind == "ld" else frozenset()
        return Op(kind, name, (*address, *stored), written, "fp_word", word=_word(operands))
    if name.startswith(("vcmp", "vmsr")):
        return Op(kind, name, tuple((r, "fp") for r in (*first, *rest)), frozenset({"fpscr"}), "late")
    if name == "vmrs":
        return Op(kind, name, (("fpscr", "alu"),), frozenset({FLAGS}), "late")
    fused = name.startswith(("vfma", "vfms", "vfnm", "vmla", "vmls", "vnml"))
    moves_out = name == "vmov" and bool(first) and not next(iter(first)).startswith("s")
    result: Result = "fp_sum"
    if fused:
        result = "fp_fused" if name.startswith("vf") else "fp_chained"
    elif name == "vmov":
        result = "word" if moves_out else "fp_moved"
    reader: Reader = "fp_move" if name == "vmov" else "fp"
    reads: list[tuple[str, Reader]] = [(r, reader if r.startswith("s") and r != "sp" else "alu") for r in rest]
    reads += [(r, "fp_accumulator") for r in first] if fused else []
    return Op(kind, name if ".f64" not in instruction.mnemonic else f"{name}.f64", tuple(reads), first, result)
