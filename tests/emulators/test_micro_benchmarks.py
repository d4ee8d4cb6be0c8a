"""Micro-benchmarks whose cycles the manuals give: assembled, executed, timed; predicted equals expected, to the cycle.

Each snippet is a layer of one firmware. A layer also holds the return of its mark and the call of the next one; an
empty layer measures those.
"""

from __future__ import annotations

import pytest

from crest.targets import CoreName, load_target
from crest.timing import CycleModel
from crest.timing.memory_system import load_memory_timing
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


# Waits for memories, with the geometry and the documented terms of this board: 64 bits a read, 1 KiB of cached code and
# 256 bytes of cached data.
WAITING = load_target("nucleo-l4r5zi")
DATA_LINE, BRANCH_LINE, NEXT_LINE = 5, 5, 3
_WAITING_HEAD = """
  b begin
  .balign 8
table: .space 1024
begin:
  ldr r7, =table
  MARK 0xFFFFFFFE
  b 1f
  .ltorg
  .balign 8
1:
"""
# Every layer is a whole number of code lines, so that all are cut alike.


def code_loop(lines: int, turns: int) -> str:
    """A loop of whole lines of code: four NOPs each, and a last one that counts and branches."""
    nops = "nop\n" * (4 * (lines - 1))
    return f"movs r6, #{turns}\n 1:\n {nops} subs r6, #1\n beq 2f\n b.n 1b\n nop\n 2: nop\n nop\n nop\n nop"


def data_loop(lines: int) -> str:
    """Reads a word of each of some lines of data."""
    return f"movs r5, r7\n movs r6, #{lines}\n 1: ldr r1, [r5]\n adds r5, #8\n subs r6, #1\n bne 1b\n nop\n nop\n nop"


def waiting_cycles(boot, core: CoreName, snippets: list[str]) -> list[float]:
    """Cycles of each snippet, those of its marks included."""
    changes = {"memory_geometry": WAITING.memory_geometry}
    if core == "cortex-m0plus":
        changes |= {"core": core, "fpu": "none"}
    body = [_WAITING_HEAD]
    for layer, snippet in enumerate([*snippets, ""]):  # the last layer also closes the window
        body.append(f"  movs r0, #{layer}\n  bl crest_layer_mark\n  {snippet}\n")
    body.append("  movs r0, #0\n  mvns r0, r0\n  bl crest_layer_mark\n")
    elf = asm("".join(body), cpu=M0PLUS if core == "cortex-m0plus" else firmware.M4)
    machine = boot(elf, TARGET.model_copy(update=changes))
    machine.count_memory(True)
    machine.receive()
    model = CycleModel(load_core_timing(core), WAITING.fetch_stall_factor, load_memory_timing(WAITING))
    assert not model.notes(machine.profile())
    return model.layer_cycles(machine.profile())[:-1]


@pytest.mark.parametrize(("core", "refill"), [("cortex-m0plus", 1), ("cortex-m4", 2)])
def test_code_waits_for_its_lines_while_the_cache_does_not_hold_them(boot, core, refill):
    cached, overflow = 120, 136
    snippets = [code_loop(lines, turns) for lines in (cached, overflow) for turns in (2, 3)]
    # One that fills the cache with other code before each, so that all of them begin alike.
    spread = [one for snippet in snippets for one in (code_loop(overflow, 1), snippet)]
    fits_2, fits_3, exceeds_2, exceeds_3 = waiting_cycles(boot, core, spread)[1::2]
    turn = {lines: 4 * (lines - 1) + 1 + 1 + (1 + refill) for lines in (cached, overflow)}
    assert fits_3 - fits_2 == turn[cached]
    assert exceeds_3 - exceeds_2 == turn[overflow] + BRANCH_LINE + (overflow - 1) * NEXT_LINE


@pytest.mark.parametrize(("core", "refill"), [("cortex-m0plus", 1), ("cortex-m4", 2)])
def test_data_waits_for_its_lines_while_the_cache_does_not_hold_them(boot, core, refill):
    sizes = [30, 31, 30, 40, 40]
    # The second time, 30 lines are held and 40, which the cache cannot hold at once, are not.
    _, larger, again, _, exceeds = waiting_cycles(boot, core, [data_loop(lines) for lines in sizes])
    turn = 2 + 1 + 1 + (1 + refill)
    assert larger - again == turn + DATA_LINE
    assert exceeds - again == 10 * turn + 40 * DATA_LINE
