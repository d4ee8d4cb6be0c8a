"""How a Cortex-M7 issues a basic block: which instructions go in pairs, and in which cycles nothing can go.

A first version: an in-order machine with two slots walks the block once, every register ready at its beginning. The
rules are those measured on STM32H7 parts by others (jnk0le, cortex_m7.md): a pair has at most one multiplication, none
beside a store, and at most one store; what extends, packs, saturates or moves bit fields goes in the older slot only,
and not beside a shifted operand; two loads pair where they are known to hit different halves of an aligned double word;
LDM and STM move two words a cycle, alone. A product is late by one cycle except for the next accumulation;
multiplications, addresses and shifters want loaded words one cycle late, and bytes and halfwords are late by one more.

Not seen: what a block leaves unfinished to the next one, pairs across a branch, banks of unrelated addresses.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from crest.emulators.blocks import COLUMN, Block, Instruction, analyse, disassemble, is_conditional

_REGISTER: Final = re.compile(r"\b(?:r\d+|sb|sl|fp|ip|sp|lr|pc|[sd]\d+)\b")
_SHIFTED: Final = re.compile(r"\b(?:lsl|lsr|asr|ror|rrx)\b")
_OFFSET: Final = re.compile(r"\[(\w+)(?:, #(0x[0-9a-f]+|\d+))?\]$")
_OLDER_ONLY: Final = re.compile(
    r"([su]xt(b|h|b16|ab|ah|ab16)|pkh(bt|tb)|bf[ci]|[su]bfx|[su]sat(16)?|sel|usada?8|qd?(add|sub)"
    r"|(s|q|sh|u|uq|uh)(add8|add16|sub8|sub16|asx|sax))$"
)
_SETS_FLAGS: Final = re.compile(
    r"(cmp|cmn|tst|teq|(ad[dc]|sub|sbc|rsb|and|orr|orn|eor|bic|mov|mvn|ls[lr]|asr|ror|rrx|mul)s)$"
)
_READS_FLAGS: Final = re.compile(r"(adcs?|sbcs?|rrxs?|sel)$")
# Two operands, the first of which is not read.
_UNARY: Final = re.compile(r"(mov[sw]?|mvns?|adr|clz|rbit|rev(16|sh)?|[su]xt(b|h|b16)|rsbs?|mrs|vmov.*|vcvt.*)$")
_LONG_PRODUCT: Final = re.compile(r"[su]mull|[su]mlal|umaal|smlsld")
_FLAGS: Final = "flags"

_PRODUCTS: Final = frozenset(("mul", "mla", "smull", "smlal", "smlad", "smlabb"))
_BRANCHES: Final = frozenset(("bc", "bu", "bx", "call"))
_ALONE: Final = frozenset(("ldm", "stm", "ldrd", "strd", "div", "sys"))
_NARROW_LOAD: Final = re.compile(r"(ldrs?[bh]|ld[ar]e?x?[bh])")


@dataclass(frozen=True)
class _Op:
    """What the issue logic looks at."""

    kind: str
    early: frozenset[str]
    """Registers wanted one cycle before the arithmetic: of addresses, shifters and factors."""
    late: frozenset[str]
    accumulator: frozenset[str]
    written: frozenset[str]
    base_written: str | None
    older_only: bool
    shifted: bool
    narrow: bool
    word: tuple[str, int] | None
    cycles: int

    @property
    def read(self) -> frozenset[str]:
        return self.early | self.late | self.accumulator


def issue(instructions: Sequence[Instruction]) -> tuple[int, int]:
    """Walk a block.

    Returns:
        Instructions issued beside the one before them, and cycles in which nothing could be issued.
    """
    ready: dict[str, tuple[int, int, int]] = {}  # by register: cycle for accumulators, other arithmetic, early readers
    paired = waits = 0
    now, older = -1, None
    for op in map(_decode, instructions):
        wanted = _wanted(op, ready)
        if older is not None and wanted <= now and _pairs(older, op):
            paired += 1
            older = None
        else:
            start = max(now + 1, wanted)
            waits += start - now - 1 + op.cycles - 1
            now, older = start + op.cycles - 1, None if op.kind in _ALONE else op
        _retire(op, now, ready)
    return paired, waits


@functools.lru_cache(maxsize=1 << 16)
def analyse_dual_issue(code: bytes) -> Block:
    """``blocks.analyse`` with the counts ``dual_issued`` and ``issue_waits`` filled in."""
    block = analyse(code)
    counts = block.counts.copy()
    counts[COLUMN["dual_issued"]], counts[COLUMN["issue_waits"]] = issue(disassemble(code))
    counts.flags.writeable = False
    return replace(block, counts=counts)


def _wanted(op: _Op, ready: dict[str, tuple[int, int, int]]) -> int:
    kinds = ((op.accumulator, 0), (op.late, 1), (op.early, 2))
    return max((ready[name][at] for names, at in kinds for name in names if name in ready), default=0)


def _retire(op: _Op, now: int, ready: dict[str, tuple[int, int, int]]) -> None:
    if op.kind in _PRODUCTS:
        times = (now + 1, now + 2, now + 2)
    elif op.kind in ("ld", "ldrd", "ldm"):
        times = (now + 2 + op.narrow, now + 1 + op.narrow, now + 2 + op.narrow)
    else:
        times = (now + 1, now + 1, now + 1)
    ready.update(dict.fromkeys(op.written, times))
    if op.base_written:
        ready[op.base_written] = (now + 1, now + 1, now + 1)


def _pairs(older: _Op, younger: _Op) -> bool:
    """Whether both may go in one cycle, their operands being ready."""
    kinds = (older.kind, younger.kind)
    written = older.written | ({older.base_written} if older.base_written else set())
    if younger.kind in _ALONE or older.kind in _BRANCHES or written & (younger.read | (younger.written - {_FLAGS})):
        return False
    products = sum(kind in _PRODUCTS for kind in kinds)
    if products == 2 or (products and "st" in kinds) or kinds in (("st", "st"), ("fp", "fp")):
        return False
    if younger.older_only or (older.older_only and younger.shifted):
        return False
    return kinds != ("ld", "ld") or _different_banks(older, younger)


def _different_banks(older: _Op, younger: _Op) -> bool:
    if older.word is None or younger.word is None:
        return False
    return older.word[0] == younger.word[0] and bool((older.word[1] ^ younger.word[1]) & 4)


def _decode(instruction: Instruction) -> _Op:
    mnemonic, operands, kind = instruction.mnemonic.split(".")[0], instruction.operands, instruction.kind
    names = _REGISTER.findall(operands)
    conditional = kind not in _BRANCHES and is_conditional(mnemonic)
    targets = _targets(mnemonic, operands, kind, names)
    sources = set(names[len(targets) :]) if kind not in ("ldm", "ld", "ldrd") else _address(operands, names)
    if (
        conditional
        or mnemonic in ("movt", "bfi", "bfc")
        or (len(targets) == 1 and operands.count(",") == 1 and kind == "alu" and not _UNARY.match(mnemonic))
    ):
        sources |= targets
    shifted = kind == "alu" and bool(_SHIFTED.search(operands))
    accumulator = _accumulator(mnemonic, kind, names, targets)
    # A conditional branch is predicted: it does not wait for the flags.
    flags = {_FLAGS} if conditional or _READS_FLAGS.match(mnemonic) else set()
    early_all = (
        kind in _PRODUCTS or kind in ("ld", "ldrd", "ldm", "stm") or shifted or bool(_OLDER_ONLY.match(mnemonic))
    )
    early = sources if early_all else (_address(operands, names) if kind in ("st", "strd") else set())
    return _Op(
        kind=kind,
        early=frozenset(early - accumulator),
        late=frozenset((sources - early - accumulator) | flags),
        accumulator=frozenset(accumulator),
        written=frozenset(targets | ({_FLAGS} if _SETS_FLAGS.match(mnemonic) else set())),
        base_written=_written_back(operands, kind),
        older_only=bool(_OLDER_ONLY.match(mnemonic)),
        shifted=shifted,
        narrow=bool(_NARROW_LOAD.match(mnemonic)),
        word=_word(operands),
        cycles=_cycles(operands, kind),
    )


def _targets(mnemonic: str, operands: str, kind: str, names: Sequence[str]) -> set[str]:
    if kind == "ldm":
        return set(_REGISTER.findall(operands[operands.index("{") :]))
    if kind in ("st", "strd", "stm", "nop", "it", *_BRANCHES) or mnemonic in ("cmp", "cmn", "tst", "teq"):
        return set()
    return set(names[: 2 if kind == "ldrd" or _LONG_PRODUCT.match(mnemonic) else 1])


def _accumulator(mnemonic: str, kind: str, names: Sequence[str], targets: set[str]) -> set[str]:
    if _LONG_PRODUCT.match(mnemonic):
        return set() if kind == "smull" else targets
    return {names[3]} if kind in ("mla", "smlad", "smlabb") and len(names) == 4 else set()


def _address(operands: str, names: Sequence[str]) -> set[str]:
    """Registers of an address: within brackets, or the base of a list."""
    if "[" in operands:
        return set(_REGISTER.findall(operands[operands.index("[") :]))
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
    return (found[1], int(found[2] or "0", 0)) if found else None


def _cycles(operands: str, kind: str) -> int:
    if kind not in ("ldm", "stm"):
        return 1
    return max(1, -(-len(_REGISTER.findall(operands[operands.index("{") :])) // 2))
