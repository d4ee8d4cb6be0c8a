"""Issue of Cortex-M7 blocks, against cycles counted by hand from the rules."""

from __future__ import annotations

import pytest

from crest.emulators.blocks import COLUMN, Instruction, analyse, classify
from crest.emulators.pairing import analyse_dual_issue, issue


def walk(text):
    lines = [line.strip().split(" ", 1) for line in text.split(";")]
    return issue([Instruction(classify(line[0]), line[0], line[1] if len(line) > 1 else "") for line in lines])


@pytest.mark.parametrize(
    ("code", "paired", "waits"),
    [
        ("adds r0, r1, #1; adds r2, r3, #1", 1, 0),
        ("adds r0, r1, #1; adds r2, r0, #1", 0, 0),  # the second wants what the first makes
        ("movs r0, #1; movs r0, #2", 0, 0),  # and cannot overtake it
        ("adds r0, #1; adds r1, #1; adds r2, #1", 1, 0),  # never three
        ("mul r0, r1, r2; mul r3, r4, r5", 0, 0),
        ("mul r0, r1, r2; add.w r3, r4, r5", 1, 0),
        ("mul r0, r1, r2; str r3, [r4]", 0, 0),
        ("mul r0, r1, r2; add.w r3, r0, r5", 0, 1),  # a product is late by one
        ("smlad r0, r1, r2, r0; smlad r0, r3, r4, r0", 0, 0),  # but not for the next accumulation
        ("smlad r0, r1, r2, r0; smlad r5, r0, r4, r5", 0, 1),
        ("smlal r0, r1, r2, r3; smlal r0, r1, r4, r5", 0, 0),
        ("smlald r0, r1, r2, r3; smlald r0, r1, r4, r5", 0, 0),
        ("smull r0, r1, r2, r3; add.w r4, r1, r5", 0, 1),
        ("mls r0, r1, r2, r3; mls r0, r4, r5, r0", 0, 0),
        ("sxtb16 r0, r1; smlad r2, r3, r4, r2", 1, 0),
        ("smlad r2, r3, r4, r2; sxtb16 r0, r1", 0, 0),  # extensions go in the older slot
        ("sxtb16 r0, r1; sxtb16 r2, r3, ror #8", 0, 0),
        ("pkhbt r0, r1, r2, lsl #16; add.w r3, r4, r5, lsl #2", 0, 0),
        ("usat r0, #4, r1, asr #3; adds r2, #1", 1, 0),
        ("ldr r0, [r1]; ldr r2, [r1, #4]", 1, 0),
        ("ldr r0, [r1]; ldr r2, [r1, #8]", 0, 0),  # the same half of a double word
        ("ldr r0, [r1]; ldr r2, [r3, #4]", 0, 0),  # nothing is known of the two bases
        ("ldr r0, [r1], #4; ldr r2, [r1]", 0, 0),
        ("ldr r0, [r1]; str r2, [r3]", 1, 0),
        ("str r0, [r1]; str r2, [r1, #4]", 0, 0),
        ("ldr r0, [r1]; add.w r2, r0, r3", 0, 0),
        ("ldr r0, [r1]; mul r2, r0, r3", 0, 1),
        ("ldr r0, [r1]; ldr r2, [r0]", 0, 1),
        ("ldrb r0, [r1]; adds r2, r0, #1", 0, 1),
        ("ldrsb r0, [r1]; smlabb r2, r0, r3, r2", 0, 2),
        ("ldr r0, [r1]; adds r4, r5, #1; mul r2, r0, r3", 1, 1),
        ("cmp r0, #3; bne #0x10", 1, 0),
        ("subs r0, #1; bne #0x10", 1, 0),
        ("cmp r0, #3; it gt", 1, 0),
        ("it gt; movgt r0, #3", 1, 0),
        ("cmp r0, #3; movgt r0, #3", 0, 0),
        ("push {r4, r5, r6, lr}; movs r0, #1", 0, 1),  # four words in two cycles, alone
        ("pop {r4, r5, r6, r7, pc}", 0, 2),
        ("ldrd r0, r1, [r2]; movs r3, #1", 0, 0),
        ("bx lr", 0, 0),
    ],
)
def test_pairs_and_waits(code, paired, waits):
    assert walk(code) == (paired, waits)


def test_an_inner_loop_by_hand():
    code = (
        "ldr r0, [r2], #4;"  # cycle 0
        "ldr r1, [r3], #4;"  # 1: another base
        "sxtb16 r8, r0; sxtb16 sb, r0, ror #8; sxtb16 sl, r1; sxtb16 fp, r1, ror #8;"  # 2 to 5
        "smlad r4, r8, sl, r4;"  # 5, beside the last extension
        "smlad r4, sb, fp, r4; subs r5, #1;"  # 6, both
        "bne #0x0"  # 7
    )
    assert walk(code) == (2, 0)


def test_the_counts_are_added_to_those_of_every_core():
    code = bytes.fromhex("481c 5a1c 7047".replace(" ", ""))  # adds r0, r1, #1; adds r2, r3, #1; bx lr
    plain, dual = analyse(code), analyse_dual_issue(code)
    assert plain.counts[COLUMN["dual_issued"]] == 0
    assert dual.counts[COLUMN["dual_issued"]] == 1
    assert dual.counts[COLUMN["instructions"]] == plain.counts[COLUMN["instructions"]] == 3
