"""How a dual-issue core, the Cortex-M7, issues basic blocks: which instructions go in pairs, and when nothing can go.

An in-order machine with two slots. Its constants and their sources are data (``issue_rules.py``); the rules for pairs,
measured on STM32H7 parts by others (jnk0le, cortex_m7.md) and stated alike by LLVM's ARMScheduleM7.td, stand here:

- Additions, moves and shifts execute a stage early where their operands are there, in the older slot (shifts in
  either), and the younger instruction may use their result in the same cycle.
- One multiplication in a pair, none beside a store; at most one store; two loads where they are known to hit different
  halves of an aligned double word.
- What extends, packs, saturates or moves bit fields goes in the older slot only. The early stage has one shifter.
- LDM, STM, LDRD and STRD move two words a cycle, alone. Divisions and system instructions are alone.
- A branch goes beside the instruction before it. Not taken, it pairs with the one behind it; taken, with the one at its
  target where two short instructions stand before it.

What a block leaves unfinished is carried to the next one. A loop of one block is walked until it repeats itself.
Not seen: more blocks of history, fetching, banks of unrelated addresses.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from crest.emulators.blocks import Block, analyse, disassemble
from crest.emulators.issue_decode import FLAGS, PRODUCTS, Op, decode
from crest.emulators.issue_rules import IssueRules, Reader, Result, issue_rules

_WARM_TURNS: Final = 12


class Pipeline:
    """The issue stage: walks instructions, and knows what they leave behind."""

    def __init__(self, rules: IssueRules) -> None:
        self._rules = rules
        self._values: dict[str, tuple[int, Result]] = {}  # by register: when its producer was issued, and what it is
        self._now = -1
        self._older: Op | None = None
        self._stores_done = 0.0
        self._fused_at = -rules.cycles_after_fused - 1

    def run(self, ops: Sequence[Op]) -> tuple[int, int]:
        """Issue a block.

        Returns:
            Instructions issued beside the one before them, and cycles in which nothing could be issued.
        """
        paired = waits = 0
        for op in ops:
            wanted = self._wanted(op)
            if self._older is not None and wanted <= self._now and self._pairs(self._older, op):
                paired += 1
                self._retire(op, is_older=False)
                self._older = None
                continue
            start = max(self._now + 1, wanted)
            length = max(op.cycles, self._rules.blocking.cycles.get(op.name, 1))
            waits += start - self._now - 1 + length - 1
            self._now = start + length - 1
            self._retire(op, is_older=True)
            self._older = None if op.alone else op
        return paired, waits

    def pass_taken_branch(self, ops: Sequence[Op]) -> None:
        """Leave a block by a branch that is taken."""
        if sum(op.is_short for op in ops[:-1]) < self._rules.narrow_before_pair_across_branch:
            self._older = None

    def _wanted(self, op: Op) -> int:
        """First cycle in which the operands are there."""
        wanted = max((self._ready(register, reader) for register, reader in op.reads), default=0)
        if op.narrow_store:
            buffered = self._rules.store_buffer.entries * self._rules.store_buffer.cycles_per_narrow_store
            wanted = max(wanted, int(self._stores_done - buffered))
        if op.name in ("vadd", "vsub", "vldm", "vstm", "vpush", "vpop"):
            wanted = max(wanted, self._fused_at + 1 + self._rules.cycles_after_fused)
        return wanted

    def _ready(self, register: str, reader: Reader) -> int:
        if register not in self._values:
            return 0
        issued, result = self._values[register]
        return issued + self._rules.latencies[result].readers[reader]

    def _retire(self, op: Op, is_older: bool) -> None:
        result = op.result
        early_slot = is_older or not (op.early_in_older_slot_only or (self._older is not None and self._older.shifter))
        # What executes early reads early.
        reader: Reader = "early_alu" if op.early_in_older_slot_only else "early"
        if op.may_be_early and early_slot and all(self._ready(r, reader) <= self._now for r, _ in op.reads):
            result = "early"
        self._values.update(dict.fromkeys(op.written - {FLAGS}, (self._now, result)))
        if FLAGS in op.written:
            self._values[FLAGS] = (self._now, "late")
        if op.base_written:
            self._values[op.base_written] = (self._now, "base")
        if op.narrow_store:
            drained = max(self._stores_done, float(self._now))
            self._stores_done = drained + self._rules.store_buffer.cycles_per_narrow_store
        if op.is_fused:
            self._fused_at = self._now

    def _pairs(self, older: Op, younger: Op) -> bool:
        """Whether both may go in one cycle, their operands being ready."""
        kinds = (older.kind, younger.kind)
        if younger.alone or younger.older_only or (older.shifter and younger.shifter):
            return False
        if older.is_branch and younger.is_branch:
            return False
        # The younger may replace what the older wrote only where it has read it.
        read = {register for register, _ in younger.reads}
        if (older.written - {FLAGS}) & younger.written - read:
            return False
        products = sum(kind in PRODUCTS for kind in kinds)
        if products == 2 or (products and "st" in kinds) or kinds == ("st", "st"):
            return False
        if kinds == ("ld", "ld"):
            return _different_banks(older, younger)
        return self._pair_beside_fpu(older, younger)

    def _pair_beside_fpu(self, older: Op, younger: Op) -> bool:
        if older.kind == "fp" and younger.kind == "fp":
            return False
        moves = younger.name in ("vldr", "vstr", "vmov")
        return not (moves and self._now <= self._fused_at + self._rules.cycles_after_fused)


def _different_banks(older: Op, younger: Op) -> bool:
    if older.word is None or younger.word is None or older.word[0] != younger.word[0]:
        return False
    return bool((older.word[1] ^ younger.word[1]) & 4)


@dataclass(frozen=True, eq=False)
class DualIssueBlock(Block):
    """A block with what the issue logic sees; its pairs and waits depend on the block before."""

    ops: tuple[Op, ...]


@functools.lru_cache(maxsize=1 << 16)
def analyse_dual_issue(code: bytes) -> DualIssueBlock:
    """``blocks.analyse`` for a core that issues in pairs."""
    return DualIssueBlock(**vars(analyse(code)), ops=tuple(map(decode, disassemble(code))))


@functools.lru_cache(maxsize=1 << 16)
def issue(before: DualIssueBlock | None, block: DualIssueBlock, taken: bool) -> tuple[int, int]:
    """Walk a block after another.

    Args:
        before: the block executed before; None: nothing is known.
        block: the block to walk, of ``analyse_dual_issue``.
        taken: ``before`` was left by a branch that was taken.

    Returns:
        Instructions issued beside the one before them, and cycles in which nothing could be issued.
    """
    pipeline = Pipeline(issue_rules())
    for _ in range(_WARM_TURNS if before is block else before is not None):
        assert before is not None
        pipeline.run(before.ops)
        if taken:
            pipeline.pass_taken_branch(before.ops)
    return pipeline.run(block.ops)


@functools.lru_cache(maxsize=1 << 16)
def resolves_early(block: DualIssueBlock) -> bool:
    """Whether the flags for a block's conditional branch are set so long before it that a misprediction costs less."""
    setters = [index for index, op in enumerate(block.ops) if FLAGS in op.written]
    if block.ops[-1].name in ("cbz", "cbnz"):
        return False
    pipeline = Pipeline(issue_rules())
    behind = block.ops[setters[-1] + 1 :] if setters else block.ops
    paired, waits = pipeline.run(behind)
    return len(behind) - paired + waits >= issue_rules().flag_cycles_for_early_resolution
