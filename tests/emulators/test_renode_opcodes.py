"""Opcode patterns by first halfword against what capstone says of whole instructions."""

from __future__ import annotations

import random
import re

import pytest

from crest.count_names import INSTRUCTION_CLASSES
from crest.emulators.blocks import disassemble
from crest.emulators.elf import CodeRange, ElfImage
from crest.emulators.isa import first_beyond_v6m
from crest.emulators.renode.opcodes import COUNTERS_MAX, count_classes, matches, opcode_counters, unseen_counts
from crest.errors import EmulationError
from tests.kernels.registry import SEED

NOTHING = ElfImage(segments=(), functions=(), symbols={}, code=(), vectors=0)
# Instructions of other architectures, and of the security extension, which capstone decodes as well.
OTHER = re.compile(
    "setend|hlt|udf|rfe|srs|smc|hvc|mcr|mrc|cdp|stc|ldc|cs|cin|wls|le$|dls|bf|lctp|vpt|pac|aut|bti|sg$|tt|cx|vcx|sevl|"
    "ldrex|stlex|blxns|bxns|vlldm|vlstm|vscclrm|clrm|esb|crc32|dcps|eret|subs$|"
    "hint|mrrc|mcrr|sha|aes|fld|fst|pldw"
)
GENERATOR = random.Random(SEED)


def image_of(code):
    return ElfImage(segments=(), functions=(), symbols={}, code=(CodeRange(0, code),), vectors=0)


def first_match(counters, half):
    return next(counter for counter in counters if matches(counter.pattern, half))


def decoded(code):
    """Class and name of an instruction that ARMv7-M has; None for what only capstone knows."""
    try:
        instruction = disassemble(code)[0]
    except EmulationError:
        return None
    name = instruction.mnemonic.split(".", 1)[0]
    misplaced = instruction.kind == "fp" and code[1] not in (0xEC, 0xED, 0xEE, 0xFE)  # of Advanced SIMD
    return None if misplaced or OTHER.match(name) else instruction.kind


def test_narrow_instructions_are_all_known():
    counters = opcode_counters(NOTHING, "cortex-m4")
    for half in range(0xE800):
        kind = decoded(half.to_bytes(2, "little"))
        if kind is not None:
            assert first_match(counters, half).classes == {kind}, f"{half:#06x} is {kind}"


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m0plus"])
def test_wide_instructions_are_among_the_classes_of_their_pattern(core):
    counters = opcode_counters(NOTHING, core)
    known = 0
    for _ in range(30_000):
        half = GENERATOR.randrange(0xE800, 0x10000)
        code = half.to_bytes(2, "little") + GENERATOR.randrange(1 << 16).to_bytes(2, "little")
        kind = decoded(code)
        if core == "cortex-m0plus" and first_beyond_v6m(code) is not None:
            continue
        found = first_match(counters, half).classes
        if kind is not None and found:
            known += 1
            assert kind in found, f"{code.hex()} is {kind}, the pattern says {sorted(found)}"
    assert known > 100


def test_the_code_of_the_program_decides_what_a_pattern_leaves_open():
    mla = bytes.fromhex("00fb0131")  # mla r1, r0, r1, r3
    mul = bytes.fromhex("01fb00f2")  # mul r2, r1, r0
    call = bytes.fromhex("fff7feff")
    both = bytes.fromhex("02fb0131") + bytes.fromhex("02fb00f2")
    counters = opcode_counters(image_of(mla + mul + call + both), "cortex-m4")
    assert [sorted(first_match(counters, half).classes) for half in (0xFB00, 0xFB01, 0xF7FF, 0xFB02, 0xFB03)] == [
        ["mla"], ["mul"], ["call"], ["mla", "mul"], ["mla", "mul"],
    ]  # fmt: skip
    assert len(counters) <= COUNTERS_MAX
    assert {len(counter.pattern) for counter in counters} == {16}


def test_counters_wrap_and_what_is_ambiguous_has_no_class():
    counters = opcode_counters(NOTHING, "cortex-m4")
    at = {
        half: next(i for i, c in enumerate(counters) if matches(c.pattern, half)) for half in (0x1840, 0xFB00, 0xFB21)
    }
    deltas = [0] * len(counters)
    deltas[at[0x1840]] = 7 - (1 << 32)
    deltas[at[0xFB00]] = 2
    counts = count_classes(counters, tuple(deltas), 10)
    assert counts == {"instructions": 10, "alu": 7, "unclassified": 3}
    unseen = unseen_counts(counters, tuple(deltas))
    assert {"mul", "mla", "ld_first"} <= set(unseen)
    assert not {"alu", "smlad", "instructions"} & set(unseen)
    deltas[-1] = 1  # something that no pattern knows: it may be anything
    assert set(INSTRUCTION_CLASSES) <= set(unseen_counts(counters, tuple(deltas)))
    with pytest.raises(EmulationError, match="3 instructions more than were executed"):
        count_classes(counters, tuple(deltas), 4)
