"""Issue of Cortex-M7 blocks, against cycles counted by hand from the rules of emulation/cores/cortex-m7.yaml."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from crest.assets import asset_path
from crest.emulators.blocks import Instruction, analyse, classify
from crest.emulators.counts import SLOT, fold_edges
from crest.emulators.issue_decode import decode
from crest.emulators.issue_rules import IssueRules, issue_rules
from crest.emulators.pairing import DualIssueBlock, Pipeline, analyse_dual_issue, issue, resolves_early
from crest.errors import AssetError
from crest.timing.model import load_core_timing
from crest.yaml_io import validate


def block(text, short=False):
    lines = [line.strip().split(" ", 1) for line in text.split(";")]
    size = 2 if short else 4
    ops = [Instruction(classify(line[0]), line[0], line[1] if len(line) > 1 else "", size) for line in lines]
    counts = np.zeros(0, np.int64)
    last = ops[-1].kind == "bc"
    return DualIssueBlock(counts, False, "none", last, False, False, ops=tuple(map(decode, ops)))


def walk(text):
    return Pipeline(issue_rules()).run(block(text).ops)


@pytest.mark.parametrize(
    ("code", "paired", "waits"),
    [
        ("adds r0, r1, #1; adds r2, r3, #1", 1, 0),
        ("adds r0, r1, #1; adds r2, r0, #1", 1, 0),  # the first executes a stage early, the second reads it there
        ("ands r0, r1; adds r2, r0, #1", 0, 0),  # what cannot execute early
        ("movw r0, #1; movt r0, #2", 1, 0),
        ("adds r0, r1, #1; ldr r2, [r0]", 0, 0),  # an early result is an address in the next cycle
        ("ands r0, r1; ldr r2, [r0]", 0, 1),  # any other one cycle later
        ("ands r0, r1; add.w r2, r3, r0, lsl #2", 0, 1),  # and so it is for inline shifters
        ("ands r0, r1; add.w r2, r0, r3, lsl #2", 0, 0),  # but not for the other operand
        ("rev r0, r1; add.w r2, r0, r3", 1, 0),
        ("rev r0, r1; ldr r2, [r0]", 0, 1),
        ("ubfx r0, r1, #2, #3; add.w r2, r0, r3", 0, 0),
        ("ands r1, r2; ubfx r0, r1, #2, #3", 0, 1),
        ("ssat r0, #8, r1; add.w r2, r0, r3", 0, 1),
        ("ssat r0, #8, r1; strb r0, [r3]", 1, 0),  # a store takes any result of its cycle
        ("lsl.w r0, r1, #3; eor.w r2, r0, r3", 1, 0),
        ("eor.w r2, r0, #0x1fc0; eor.w r3, r1, #0x1fc0", 0, 0),  # shifted constants share the shifter
        ("eor.w r2, r0, #0x1fc0; eor.w r3, r1, #0x1b1b1b1b", 1, 0),  # a pattern needs none
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
        ("ldrsb r0, [r1]; smlabb r2, r0, r3, r2", 0, 1),
        ("ldrb r0, [r1]; ldr r2, [r3, r0]", 0, 2),
        ("ldr r0, [r1]; smlad r2, r3, r4, r0", 1, 0),  # an accumulator is read late
        ("ldrb r0, [r1]; smlad r2, r3, r4, r0", 0, 0),
        ("add.w r0, r1, r2; smlad r3, r4, r5, r0", 1, 0),
        ("ldr r0, [r1]; sxtb16 r2, r0", 0, 0),
        ("ldr r0, [r1]; sxtab16 r2, r3, r0", 0, 1),
        ("ldr r0, [r1, #4]; ldr r2, [r1], #8", 1, 0),  # the address moves on behind both
        ("ldr r0, [r1], #8; ldr r2, [r1, #4]", 0, 0),
        ("ldr r0, [r1]; str r0, [r3]", 1, 0),
        ("tbb [r0, r1]", 0, 1),
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
        ("vadd.f32 s0, s1, s2; vmul.f32 s3, s4, s5", 0, 0),
        ("vadd.f32 s0, s1, s2; adds r0, #1", 1, 0),
        ("vadd.f32 s0, s1, s2; vmul.f32 s3, s0, s5", 0, 2),  # three cycles
        ("vfma.f32 s0, s1, s2; vfma.f32 s0, s3, s4", 0, 2),
        ("vfma.f32 s0, s1, s2; vmul.f32 s3, s0, s4", 0, 4),
        ("vfma.f32 s0, s1, s2; vadd.f32 s3, s4, s5", 0, 3),
        ("vfma.f32 s0, s1, s2; vldr s3, [r0]", 0, 0),
        ("vldr s0, [r0]; vmul.f32 s1, s0, s2", 0, 0),
        ("vdiv.f32 s0, s1, s2; adds r0, #1", 1, 15),
        ("vldm r0!, {d0, d1}; vadd.f32 s4, s3, s5", 0, 1),  # four words in two cycles
        ("vldm r0!, {d0, d1}; vfma.f32 s3, s4, s5", 0, 3),
        ("vmul.f64 d0, d1, d2; vmov r0, s1", 0, 6),  # issued for five cycles, there after three more
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


def test_what_a_block_leaves_unfinished_delays_the_next():
    load, use = block("ldr r0, [r1]; b #0x10"), block("ldr r2, [r0]")
    assert issue(None, use, False) == (0, 0)
    assert issue(load, use, True) == (0, 1)
    product = block("mul r0, r1, r2; bne #0x10")
    assert issue(product, block("adds r3, r0, #1"), True) == (0, 1)


def test_pairs_across_a_branch():
    target = block("adds r4, #1; adds r5, #1")
    full = block("adds r0, #1; adds r1, #1; bne #0x10", short=True)  # the branch is the older of a pair that is open
    assert issue(full, target, taken=False) == (1, 0)  # beside the branch; nothing beside the second
    assert issue(full, target, taken=True) == (1, 0)
    wide = block("adds r0, #1; adds r1, #1; bne #0x10")
    assert issue(wide, target, taken=True) == (1, 0)  # the two of the target
    assert issue(wide, block("adds r4, #1"), taken=True) == (0, 0)  # 32-bit instructions leave no room for the target
    assert issue(full, block("adds r4, #1"), taken=True) == (1, 0)


def test_a_loop_of_one_block_is_walked_until_it_repeats_itself():
    loop = block("ldr r0, [r1], #4; adds r2, #1; mul r3, r0, r3; bne #0x0")
    # cycle 0: ldr, adds; 2: mul, bne (a factor is wanted two cycles behind its load)
    assert issue(None, loop, False) == (2, 1)
    assert issue(loop, loop, True) == (2, 1)
    bytes_stored = block("strb r0, [r1], #1; strb r0, [r1], #1; strb r0, [r1], #1; strb r0, [r1], #1; bne #0x0")
    assert issue(None, bytes_stored, False) == (1, 0)  # the buffer takes them
    paired, waits = issue(bytes_stored, bytes_stored, True)
    assert 5 - paired + waits == pytest.approx(4 * 2.4, abs=0.6)  # full, it passes on one in 2.4 cycles


@pytest.mark.parametrize(
    ("code", "early"),
    [
        ("subs r0, #1; bne #0x0", False),
        ("subs r0, #1; adds r1, r1, r2; muls r2, r3, r2; bne #0x0", False),  # the last of them sets the flags
        ("subs r0, #1; mul r1, r4, r1; mul r2, r4, r2; mul r3, r4, r3; bne #0x0", True),
        ("mul r1, r4, r1; mul r2, r4, r2; mul r3, r4, r3; cbz r0, #0x10", False),
    ],
)
def test_flags_set_early(code, early):
    assert resolves_early(block(code)) is early


def test_edges_count_pairs_waits_and_mispredictions():
    # 0: subs r0, #1; bne 0   4: bx lr
    memory = bytes.fromhex("0138 fdd1 7047".replace(" ", ""))

    def block_at(address, size):
        return analyse_dual_issue(memory[address : address + size])

    def edge(source, source_size, address, size, count):
        return (source << 32 | address, 1 << 48 | source_size << 24 | size, count)

    # Ten loops of eight turns.
    edges = np.array([edge(4, 2, 0, 4, 10), edge(0, 4, 0, 4, 70), edge(0, 4, 4, 2, 10)], SLOT)
    counts = fold_edges(edges, block_at)[1]
    assert counts["instructions"] == 2 * 80 + 10
    assert counts["dual_issued"] == 80  # the branch beside the subtraction
    assert counts["branch_taken"] == 80
    assert counts["mispredicted"] == 10  # each exit
    assert "mispredicted_early" not in counts
    assert load_core_timing("cortex-m7").cycles(counts) == 170 - 80 + 10 * 8


def test_counts_of_other_cores_have_no_pairs():
    code = bytes.fromhex("481c 5a1c 7047".replace(" ", ""))  # adds r0, r1, #1; adds r2, r3, #1; bx lr
    edges = np.array([(0, 1 << 48 | len(code), 5)], SLOT)
    plain = fold_edges(edges, lambda _address, _size: analyse(code))[1]
    dual = fold_edges(edges, lambda _address, _size: analyse_dual_issue(code))[1]
    assert "dual_issued" not in plain
    assert dual == {**plain, "dual_issued": 5}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rules: rules["latencies"].pop("word"), "latencies lacks word"),
        (lambda rules: rules["latencies"]["word"]["readers"].pop("alu"), "missing: alu"),
        (lambda rules: rules["latencies"]["late"]["readers"].update(store=-1), "cycles >= 0"),
        (lambda rules: rules["store_buffer"].update(entries=0), "store_buffer.entries"),
    ],
)
def test_malformed_issue_rules_are_an_error(change, message):
    rules = yaml.safe_load(asset_path("emulation", "cores", "cortex-m7.yaml").read_text())["issue"]
    change(rules)
    with pytest.raises(AssetError, match=message):
        validate(rules, IssueRules, "core.yaml: issue", AssetError)


def test_a_core_without_issue_rules_is_named():
    with pytest.raises(AssetError, match=r"cortex-m4\.yaml: no section 'issue'"):
        issue_rules("cortex-m4")
