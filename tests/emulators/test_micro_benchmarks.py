"""Micro-benchmarks whose cycles the manuals give: assembled, executed, timed; predicted equals expected, to the cycle.

Each snippet is a layer of one firmware. A layer also holds the return of its mark and the call of the next one; an
empty layer measures those.
"""

from __future__ import annotations

import pytest

from crest.targets import CoreName
from crest.timing.model import load_core_timing
from tests.emulators import firmware
from tests.emulators.firmware import M0PLUS, TARGET, asm

# Arm DDI 0484C (Cortex-M0+), table 3-1, with the single-cycle multiplier.
M0PLUS_TRM = {
    "adds r1, r1, r2": 1,
    "lsls r1, r1, #3": 1,
    "muls r1, r2, r1": 1,
    "ldr r1, [r4]": 2,
    "ldrsb r1, [r4, r5]": 2,
    "str r1, [r4]": 2,
    "ldr r1, [r4]\n ldr r2, [r4]": 2 + 2,
    "ldm r4!, {r1, r2, r3}\n subs r4, #12": (1 + 3) + 1,
    "stm r4!, {r1, r2}\n subs r4, #8": (1 + 2) + 1,
    "push {r1, r2, r3}\n pop {r1, r2, r3}": 2 * (1 + 3),
    "b 1f\n nop\n 1: nop": 2 + 1,
    "cmp r1, r1\n bne 1f\n 1: nop": 1 + 1 + 1,
    "cmp r1, r1\n beq 1f\n nop\n 1: nop": 1 + 2 + 1,
    "movs r1, #4\n 1: subs r1, #1\n bne 1b": 1 + 4 * 1 + 3 * 2 + 1,
    "bl callee": 3 + 2,
    "bl callee_with_frame": 3 + (1 + 2) + (3 + 2),
    "mrs r1, primask": 3,
    "dmb": 3,
}
# Arm DDI 0439 (Cortex-M4), table 3-1; where it gives a range, the middle is taken: a branch refills the pipeline in
# 2 of 1 to 3 cycles, a division takes 6 of 2 to 12.
M4_TRM = {
    "add r1, r1, r2, lsl #3": 1,
    "mul r1, r2, r3": 1,
    "mla r1, r2, r3, r1": 1,
    "smull r1, r2, r3, r5": 1,
    "smlal r1, r2, r3, r5": 1,
    "smlad r1, r2, r3, r1": 1,
    "sxtb16 r1, r2": 1,
    "ldr r1, [r4]": 2,
    "ldr r1, [r4]\n ldr r2, [r4, #4]": 2 + 1,
    "ldr r1, [r4]\n ldr r2, [r4, #4]\n ldrsb r3, [r4, #8]": 2 + 1 + 1,
    "str r1, [r4]": 1,
    "str r1, [r4]\n ldr r2, [r4]": 1 + 2,
    "ldr r1, [r4]\n nop\n ldr r2, [r4]": 2 + 1 + 2,
    "ldrd r1, r2, [r4]": 1 + 2,
    "strd r1, r2, [r4]": 1 + 2,
    "ldm r4, {r1, r2, r3}": 1 + 3,
    "push {r1, r2, r3}\n pop {r1, r2, r3}": 2 * (1 + 3),
    "sdiv r1, r2, r3": 6,
    "ldr r1, [r4, #1]": 2 + 1,
    "b 1f\n nop\n 1: nop": 3 + 1,
    "cmp r1, r1\n bne 1f\n 1: nop": 1 + 1 + 1,
    "movs r1, #4\n 1: subs r1, #1\n bne 1b": 1 + 4 * 1 + 3 * 3 + 1,
    "cmp r1, r1\n ite eq\n addeq r1, #1\n addne r1, #1": 1 + 1 + 2,
    "bl callee": 3 + 3,
    "vadd.f32 s0, s0, s1": 1,
}
_HEAD = """
  b begin
  .balign 4
  .thumb_func
callee: bx lr
  .thumb_func
callee_with_frame: push {r1, lr}
  pop {r1, pc}
begin:
  ldr r4, =0x20000100
  movs r5, #0
  MARK 0xFFFFFFFE
"""
# Loops on a Cortex-M7: cycles a turn, with `subs r6, #1` and `bne` behind, by the rules in the file of that core.
# Nobody publishes a table. The tolerance is for entering and leaving a loop of TURNS, and a turn has whole cycles.
M7_RULES = {
    "add.w r2, r2, r3\n add.w r5, r5, r7": 1 + 1,  # two additions; the counter and its branch
    "mul r2, r3, r5\n mul r7, r3, r5": 2 + 1,  # one multiplication a cycle, the counter beside the second
    "smlad r2, r3, r5, r2": 1 + 1,  # chained on the accumulator
    "mul r2, r3, r5\n add.w r7, r2, r5": 2 + 1 + 1,  # late by a cycle
    "sxtb16 r2, r3\n smlad r5, r3, r7, r5": 1 + 1,
    "smlad r5, r3, r7, r5\n sxtb16 r2, r3": 1 + 1 + 1,  # an extension is never the younger
    "ldr.w r2, [r4]\n ldr.w r3, [r4, #4]": 1 + 1,  # two banks
    "ldr.w r2, [r4]\n ldr.w r3, [r4, #8]": 2 + 1,
    "ldr.w r2, [r4]\n mul r3, r2, r5": 2 + 1 + 1,  # factors want a loaded word two cycles behind
    "ldrb.w r2, [r4]\n add.w r3, r2, r5": 2 + 1 + 1,
    "ldr.w r2, [r4]\n smlad r3, r5, r7, r2": 1 + 1,  # an accumulator is wanted last
    "ldr.w r2, [r4]\n str.w r2, [r4, #8]": 1 + 1,
    "str.w r2, [r4]\n str.w r2, [r4, #8]": 2 + 1,
    "strb.w r2, [r4]\n strb.w r2, [r4, #1]\n strb.w r2, [r4, #2]\n strb.w r2, [r4, #3]": 4 * 2.4,
    "ldm r4, {r2, r3, r5, r7}": 2 + 1,  # two words a cycle, alone
    "sdiv r2, r3, r5": 7 + 1,
    # Two short instructions before the branch: it goes beside the first one of the next turn.
    "ldr r2, [r4]\n ldr r3, [r4, #8]": 2,
}
TURNS = 200


def layer_cycles(boot, core: CoreName, snippets: list[str]) -> list[float]:
    """Cycles of each snippet, above those of an empty one."""
    body = [_HEAD]  # no literals behind it, which would lie out of reach
    for layer, snippet in enumerate(["", *snippets, ""]):
        body.append(f"  movs r0, #{layer}\n  bl crest_layer_mark\n  {snippet}\n")
    target = TARGET if core == "cortex-m4" else TARGET.model_copy(update={"core": core, "fpu": "none"})
    elf = asm(
        "".join(body) + "  movs r0, #0\n  mvns r0, r0\n  bl crest_layer_mark\n",
        cpu=M0PLUS if core == "cortex-m0plus" else firmware.M4,
    )
    machine = boot(elf, target)
    machine.count_memory(True)
    machine.receive()
    timing = load_core_timing(core)
    cycles = {layer.index: timing.cycles(layer.counts) for layer in machine.profile().layers}
    return [cycles[layer + 1] - cycles[0] for layer in range(len(snippets))]


@pytest.mark.parametrize(("core", "expected"), [("cortex-m0plus", M0PLUS_TRM), ("cortex-m4", M4_TRM)])
def test_predicted_cycles_are_those_of_the_manual(boot, core, expected):
    assert dict(zip(expected, layer_cycles(boot, core, list(expected)), strict=True)) == expected


def test_loops_on_the_m7_take_what_the_rules_say(boot):
    loops = [f"movs r6, #{TURNS}\n 1: {body}\n subs r6, #1\n bne 1b" for body in M7_RULES]
    cycles = layer_cycles(boot, "cortex-m7", loops)
    per_turn = {body: total / TURNS for body, total in zip(M7_RULES, cycles, strict=True)}
    assert per_turn == pytest.approx(M7_RULES, abs=0.1, rel=0.05)


def test_a_loaded_value_that_is_read_at_once_is_counted(boot):
    read, not_read = "ldr r1, [r4]\n adds r2, r1, r3", "ldr r1, [r4]\n adds r2, r3, r5\n movs r1, #0"
    machine = boot(asm(_HEAD + "".join(f"  MARK {n}\n  {text}\n" for n, text in enumerate((read, not_read)))
                       + "  MARK 0xFFFFFFFF\n"))  # fmt: skip
    machine.receive()
    # The mark itself loads its identifier, which nothing reads at once.
    assert [layer.counts.get("ld_use", 0) for layer in machine.profile().layers] == [1, 0]
