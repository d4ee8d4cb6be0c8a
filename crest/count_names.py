"""What an execution profile counts, by name: the words that engines, cycle models and energy models share."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

INSTRUCTION_CLASSES: Final = {
    "alu": "data processing, moves, compares, DSP packing and extension",
    "it": "IT",
    "nop": "NOP and hints",
    "fp": "floating point, everything that goes to the FPU but loads and stores",
    "mul": "32-bit multiply (MUL)",
    "mla": "32-bit multiply-accumulate (MLA, MLS)",
    "smull": "64-bit multiply (SMULL, UMULL)",
    "smlal": "64-bit multiply-accumulate (SMLAL, UMLAL, UMAAL)",
    "smlad": "dual 16-bit multiply (SMLAD, SMUAD, SMLSD, SMLALD)",
    "smlabb": "16-bit and most-significant-word multiplies (SMLAxy, SMULxy, SMMUL, SMMLA, SMLAWy)",
    "div": "SDIV, UDIV",
    "ld": "single load",
    "ldrd": "LDRD",
    "ldm": "LDM, POP, VLDM",
    "st": "single store",
    "strd": "STRD",
    "stm": "STM, PUSH, VSTM",
    "call": "BL, BLX",
    "bx": "BX",
    "bu": "B, unconditional",
    "bc": "conditional branches: Bcc, CBZ, CBNZ, TBB, TBH",
    "sys": "MRS, MSR, barriers, CPS, WFI and the rest",
}

DERIVED_COUNTS: Final = {
    "instructions": "executed instructions, those of a failed condition in an IT block included",
    "ldm_words": "words loaded by LDM, POP and VLDM",
    "stm_words": "words stored by STM, PUSH and VSTM",
    "ld_first": "single loads not directly behind another single load or store in their basic block",
    "ld_pipe": "single loads directly behind a single load",
    "ld_after_st": "single loads directly behind a single store",
    "branch_taken": "taken branches of any kind, calls and returns included",
    "branch_not_taken": "conditional branches not taken",
    "taken_to_unaligned": "taken branches to a target that is not 4-aligned",
    "ld_use": "single loads whose value the very next instruction of their basic block reads",
    "pc_loads": "loads of the program counter by POP, LDM or LDR",
    "dual_issued": "instructions issued beside the one before them; Cortex-M7 only (pairing.py)",
    "issue_waits": "cycles in which nothing can be issued; Cortex-M7 only (pairing.py)",
    "mispredicted": "branches that do not go where they go most often; Cortex-M7 only (issue_counts.py)",
    "mispredicted_early": "those among them whose flags are set early; Cortex-M7 only (pairing.py)",
}

EVENT_COUNTS: Final = {
    "fetch_lines_sequential": "entries into another line of code, straight on",
    "fetch_lines_branch": "entries into another line of code by a taken branch, calls and returns included",
    "fetch_misses_sequential": "of the former those that miss the instruction cache",
    "fetch_misses_branch": "of the latter those that miss the instruction cache",
    "flash_load_line_changes": "loads from another line of flash than the previous load from flash",
    "flash_load_misses": "loads from flash that miss the data cache",
    "flash_load_misses_sequential": "of these, those whose previous line is cached",
    "ram_load_misses": "loads from cached RAM that miss the data cache",
    "ram_store_misses": "stores to cached RAM that miss the data cache, so that the line is loaded first",
    "write_backs": "lines that were stored to and that leave the data cache",
}
"""Events of the memory system, where the target describes its (``crest.targets.MemoryGeometry``) and accesses are
counted. Caches are empty when the window opens. The order is that of ``emulation/native/memory_system.h``."""

UNALIGNED_PREFIX: Final = "unaligned_"
# Data accesses per memory region are named "load_<region>", "store_<region>"; accesses to a word or halfword that
# are not naturally aligned are named "unaligned_<region>"; <region> is the name in the target file, or "peripheral".


def is_count(name: str, regions: Collection[str]) -> bool:
    """Whether profiles of a target with these memory regions know a count of that name."""
    if name in INSTRUCTION_CLASSES or name in DERIVED_COUNTS or name in EVENT_COUNTS:
        return True
    kind, _, region = name.partition("_")
    return kind in ("load", "store", "unaligned") and region in (*regions, "peripheral")
