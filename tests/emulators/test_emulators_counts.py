"""Counts against ground truth: every instruction seen by UC_HOOK_CODE, and numbers counted by hand."""

from __future__ import annotations

from collections import Counter

import pytest
import unicorn
from unicorn import arm_const

from crest.emulators import hooks
from crest.emulators.blocks import classify, disassemble
from tests.emulators import firmware
from tests.emulators.firmware import asm, c

KERNEL = """
static int8_t weights[64] = {1, -2, 3, 4, 5, -6, 7};
static const int16_t table[32] = {9, 8, 7, 6};
static int32_t outputs[64];
__attribute__((noinline)) static void kernel(int n) {
  for (int i = 0; i < n; i++) {
    int32_t sum = 0;
    for (int j = 0; j < 32; j++) sum += weights[(i + j) & 63] * table[j];
    outputs[i] = sum < 0 ? -sum / 3 : sum;
  }
}
__attribute__((noinline)) static uint64_t wide(uint64_t a, int n) {
  for (int i = 0; i < n; i++) a = a * 6364136223846793005ull + 1;
  return a;
}
volatile uint64_t sink;
static volatile int sizes[2] = {60, 17};
int main(void) {
  crest_layer_mark(OPEN);
  crest_layer_mark(0);
  kernel(sizes[0]);
  crest_layer_mark(1);
  sink = wide(3, sizes[1]);
  crest_layer_mark(OVERHEAD);
  sink += 1;
  crest_layer_mark(CLOSE);
  put(outputs, sizeof outputs);
  return 0;
}
"""
ACCESSES = ("load_", "store_", "unaligned_")


def core_counts(profile):
    return {k: v for k, v in profile.total().items() if not k.startswith(ACCESSES)}


def ground_truth(machine):
    """Executed addresses per layer id, by a Python hook on every instruction (slow, and independent of our tables)."""
    uc, image = machine._uc, machine._image
    mark = image.symbols["crest_layer_mark"]
    seen: dict[int, Counter[int]] = {}
    state = {"layer": None, "previous": None}
    taken: Counter[int] = Counter()

    def on_code(uc, address, size, _data):
        if address == mark:
            layer = uc.reg_read(arm_const.UC_ARM_REG_R0)
            if layer == firmware.OPEN:
                seen.clear()
                taken.clear()
                state["previous"] = None
            state["layer"] = {firmware.OPEN: -1, firmware.CLOSE: None, firmware.OVERHEAD: -1}.get(layer, layer)
        if state["layer"] is None:
            return
        seen.setdefault(state["layer"], Counter())[address] += 1
        if state["previous"] is not None and state["previous"] != address:
            taken[state["layer"]] += 1
        state["previous"] = address + size

    uc.hook_add(unicorn.UC_HOOK_CODE, on_code)
    return seen, taken


@pytest.mark.parametrize("flags", [("-O2",), ("-O0",), ("-O1",)])
def test_every_instruction_of_every_layer_is_counted(boot, flags):
    elf = c(KERNEL, flags=flags)
    machine, reference = boot(elf), boot(elf)
    seen, taken = ground_truth(reference)
    assert machine.receive() == reference.receive() != b""
    profile = machine.profile()
    by_layer = {-1: profile.overhead, **{layer.index: layer.counts for layer in profile.layers}}
    assert sorted(by_layer) == sorted(seen) == [-1, 0, 1]
    for layer, counts in by_layer.items():
        classes: Counter[str] = Counter()
        for address, times in seen[layer].items():
            code = bytes(reference._uc.mem_read(address, 4))
            size = 4 if code[1] >> 3 in (0b11101, 0b11110, 0b11111) else 2
            classes[disassemble(code[:size])[0].kind] += times
        # UC_HOOK_CODE does not see instructions of an IT block whose condition fails; they are ours alone.
        failed = counts["instructions"] - classes.total()
        assert failed == 0 if not counts.get("it") else 0 <= failed <= 4 * counts["it"]
        exact = {k: counts.get(k, 0) for k in ("mul", "mla", "smull", "div", "call", "bx", "bu", "bc", "it", "stm")}
        assert exact == {k: classes[k] for k in exact}
        if not counts.get("it"):
            assert {k: counts[k] for k in classes} == classes
            assert counts.get("branch_taken", 0) == taken[layer]
    assert profile.layers[0].counts["instructions"] > 60 * 32


def test_counts_by_hand(boot):
    machine = boot(
        asm("""
  ldr r4, =0x20000100
  MARK 0xFFFFFFFE
  MARK 7
  movs r5, #10
1:
  ldr r1, [r4]
  ldr r2, [r4, #4]
  str r1, [r4]
  ldr r3, [r4, #8]
  ldrd r6, r7, [r4]
  mul r6, r6, r7
  mla r6, r6, r7, r1
  smlad r6, r6, r7, r1
  smull r6, r7, r1, r2
  udiv r6, r7, r5
  subs r5, #1
  bne 1b
  push {r1-r3}
  pop {r1-r3}
  vldr s0, [r4]
  vadd.f32 s0, s0, s0
  vstr d0, [r4]
  MARK 0xFFFFFFFF
""")
    )
    assert machine.receive() == b""
    profile = machine.profile()
    assert [layer.index for layer in profile.layers] == [7]
    counts = profile.layers[0].counts
    # bx of the mark, movs, 10 x 12, five behind the loop, then mvn and bl of the closing mark
    assert counts["instructions"] == 1 + 1 + 10 * 12 + 5 + 2
    assert counts["ld"] == 30 + 1
    # each iteration: first, behind a load, behind a store; then vldr behind pop
    assert (counts["ld_first"], counts["ld_pipe"], counts["ld_after_st"]) == (10 + 1, 10, 10)
    named = ("mul", "mla", "smlad", "smull", "div", "ldrd", "ldm", "ldm_words", "stm", "stm_words", "fp", "bc", "bx")
    assert [counts.get(name) for name in named] == [10, 10, 10, 10, 10, 10, 1, 3, 1, 3, 1, 10, 1]
    # entering the mark, its return, nine times round
    assert (counts["branch_taken"], counts["branch_not_taken"]) == (1 + 1 + 9, 1)
    assert counts["taken_to_unaligned"] <= counts["branch_taken"]


def test_a_load_behind_a_load_is_pipelined_across_a_page_edge(boot):
    # Unicorn cuts blocks at 1 KiB pages: so many loads in a row are cut at least once.
    machine = boot(
        asm("  ldr r4, =0x20000100\n  MARK 0xFFFFFFFE\n" + "  ldr r1, [r4]\n" * 1200 + "  nop\n  MARK 0xFFFFFFFF\n")
    )
    machine.receive()
    counts = machine.profile().overhead
    assert len(machine._hooks.edges()[machine._hooks.edges()["count"] > 0]) >= 4
    assert counts["ld_pipe"] == 1199
    assert counts["ld_first"] == 1
    assert "branch_not_taken" not in counts


def test_straight_code_cut_inside_an_it_block_is_counted_once(boot):
    body = "".join("  cmp r1, r2\n  itt eq\n  addeq r1, #1\n  addeq.w r2, r2, #2\n" for _ in range(600))
    machine = boot(asm("  movs r1, #0\n  movs r2, #0\n  MARK 0xFFFFFFFE\n" + body + "  MARK 0xFFFFFFFF\n"))
    machine.receive()
    counts = machine.profile().overhead
    assert counts["it"] == 600
    assert counts["instructions"] == 1 + 600 * 4 + 2
    assert counts["alu"] == 1800 + 1  # the argument of the closing mark


def test_profile_is_that_of_the_last_complete_window(boot):
    machine = boot(
        asm("""
  MARK 0xFFFFFFFE
  nop
  MARK 0xFFFFFFFF
  MARK 0xFFFFFFFE
  nop
  nop
  MARK 3
  MARK 0xFFFFFFFF
  nop
  MARK 0xFFFFFFFE
  nop
  nop
  nop
""")
    )
    machine.receive()
    profile = machine.profile()
    assert profile.overhead["nop"] == 2
    assert [layer.index for layer in profile.layers] == [3]


def test_two_runs_are_equal_and_growing_the_table_changes_nothing(boot, monkeypatch):
    elf = c(KERNEL)
    first = boot(elf)
    first.receive()
    monkeypatch.setattr(hooks, "_CAPACITY_LOG2", 2)
    second = boot(elf)
    second.receive()
    assert second._hooks.state.edges[0].capacity_log2 > 4
    assert first.profile() == second.profile()


def test_a_table_that_cannot_grow_is_an_error(boot, monkeypatch):
    monkeypatch.setattr(hooks, "_CAPACITY_LOG2", 2)
    monkeypatch.setattr(hooks, "_CAPACITY_LOG2_MAX", 3)
    with pytest.raises(hooks.EmulationError, match="branches"):
        boot(c(KERNEL)).receive()


@pytest.mark.parametrize("flags", [("-O2",), ("-O0",)])
def test_counting_memory_changes_nothing_and_agrees_with_the_instructions(boot, memory_hook, flags):
    elf = c(KERNEL, flags=flags)
    plain, counted = boot(elf), boot(elf)
    counted.count_memory(True)
    assert plain.receive() == counted.receive()
    assert core_counts(plain.profile()) == core_counts(counted.profile())
    assert not any(name.startswith(ACCESSES) for name in plain.profile().total())
    for layer in counted.profile().layers:
        counts = layer.counts
        loads = counts.get("ld", 0) + 2 * counts.get("ldrd", 0) + counts.get("ldm_words", 0)
        stores = counts.get("st", 0) + 2 * counts.get("strd", 0) + counts.get("stm_words", 0)
        failed = 4 * counts.get("it", 0)
        assert loads - failed <= counts.get("load_flash", 0) + counts.get("load_ram", 0) <= loads
        assert stores - failed <= counts.get("store_ram", 0) <= stores
    assert counted.profile().layers[0].counts["load_flash"] >= 60 * 32 / 2  # the table is constant


def test_regions_and_alignment_of_accesses(boot, memory_hook):
    machine = boot(
        asm("""
  ldr r4, =0x20000100
  ldr r5, =0x40002500
  ldr r6, =constant
  MARK 0xFFFFFFFE
  MARK 0
  ldrb r1, [r4, #1]
  ldrh r1, [r4, #1]
  ldr r1, [r4, #2]
  str r1, [r4, #3]
  strh r1, [r4, #2]
  ldr r1, [r5]
  str r1, [r5]
  ldr r1, [r6]
  ldr r1, [r6, #1]
  vldr d0, [r4]
  vstr s0, [r4]
  movs r0, #1
  bl crest_layer_mark
  MARK 0xFFFFFFFF
  b 1f
  .align 2
constant: .word 1, 2
1:
""")
    )
    machine.count_memory(True)
    machine.receive()
    counts = machine.profile().layers[0].counts
    assert {k: v for k, v in counts.items() if k.startswith(ACCESSES)} == {
        "load_ram": 3 + 2,
        "store_ram": 3,
        "unaligned_ram": 3,
        "load_peripheral": 1,
        "store_peripheral": 1,
        "load_flash": 2,
        "unaligned_flash": 1,
    }


def test_accesses_in_it_blocks_do_not_derail_the_core_while_memory_is_counted(boot, memory_hook):
    """Unicorn restores IT state for a memory hook and leaves it: code behind a conditional access went wrong."""
    elf = c(
        """
volatile uint8_t buffer[64];
static volatile uint32_t seed = 12345;
__attribute__((noinline)) static uint32_t step(uint32_t x) { return x * 1664525u + 1013904223u; }
__attribute__((noinline)) static void put_if(uint32_t at, uint32_t value) {
  __asm__ volatile("cmp %1, #40\\n itte ls\\n strbls %2, [%0, %1]\\n addls %1, #1\\n movhi %1, #0"
                   :: "r"(buffer), "r"(at), "r"(value) : "memory", "cc");
}
int main(void) {
  uint32_t x = seed;
  for (int i = 0; i < 500; i++) { x = step(x); put_if(x >> 26, x >> 8); }
  static uint8_t copy[64];
  for (int i = 0; i < 64; i++) copy[i] = buffer[i];
  put(copy, 41);
  return 0;
}
"""
    )
    plain, counted = boot(elf), boot(elf)
    counted.count_memory(True)
    assert plain.receive() == counted.receive()


def test_floating_point_load_multiple_is_the_same_with_memory_counted(boot, memory_hook):
    body = """
  ldr r4, =0x20001000
  movs r5, #0
1: vmov s0, r5
  vcvt.f32.s32 s0, s0
  vstmia r4!, {s0}
  adds r5, #1
  cmp r5, #64
  bne 1b
  MARK 0xFFFFFFFE
  ldr r4, =0x20000ff4
  movs r5, #40
2: vldmia r4!, {s0-s3}
  vldmdb r4!, {s4-s6}
  vadd.f32 s8, s8, s3
  vpush {d8-d10}
  vpop {d8-d10}
  subs r5, #1
  bne 2b
  MARK 0xFFFFFFFF
  vmov r7, s8
"""
    plain, counted = boot(asm(body)), boot(asm(body))
    counted.count_memory(True)
    plain.receive()
    counted.receive()
    for register in (arm_const.UC_ARM_REG_R4, arm_const.UC_ARM_REG_R7, arm_const.UC_ARM_REG_SP):
        assert plain._uc.reg_read(register) == counted._uc.reg_read(register)
    assert core_counts(plain.profile()) == core_counts(counted.profile())
    total = counted.profile().total()
    assert total["load_ram"] + total["load_flash"] == total["ldm_words"] + total["ld"]
    assert total["ldm_words"] == 40 * (4 + 3 + 6)


def test_memory_counting_can_be_switched_between_windows(boot, memory_hook):
    elf = c(
        """
static volatile uint32_t cell;
int main(void) {
  static uint8_t byte;
  for (;;) {
    get(&byte, 1);
    crest_layer_mark(OPEN);
    for (int i = 0; i < 20; i++) cell += byte;
    crest_layer_mark(CLOSE);
    put(&byte, 1);
  }
}
"""
    )
    machine = boot(elf)
    profiles = []
    for counted in (False, True, False, False, True):
        machine.count_memory(counted)
        while machine.receive():
            pass
        machine.send(b"x")
        assert machine.receive() == b"x"
        profiles.append(machine.profile())
    loads = [profile.total().get("load_ram") for profile in profiles]
    assert loads == [None, 21, None, None, 21]
    assert len({tuple(sorted(core_counts(profile).items())) for profile in profiles}) == 1


def test_no_window_no_profile(boot):
    machine = boot(asm("  nop\n"))
    machine.receive()
    with pytest.raises(hooks.EmulationError, match="no latency window"):
        machine.profile()


@pytest.mark.parametrize(
    ("mnemonic", "kind"),
    [
        ("movs", "alu"), ("bls", "bc"), ("ble", "bc"), ("bleq", "call"), ("bl", "call"), ("blx", "call"), ("b.w", "bu"),
        ("bxeq", "bx"), ("popne", "ldm"), ("it", "it"), ("itete", "it"), ("muls", "mul"), ("mls", "mla"),
        ("smlabb", "smlabb"), ("smmlar", "smlabb"), ("smlald", "smlad"), ("umaal", "smlal"), ("umull", "smull"),
        ("vldmia", "ldm"), ("vldr", "ld"), ("vstr", "st"), ("vmla.f32", "fp"), ("vmovgt.f32", "fp"), ("ldrhs", "ld"),
        ("ldrsbhs", "ld"), ("strlo", "st"), ("teq", "alu"), ("adcs", "alu"), ("bics", "alu"), ("uqsub8", "alu"),
        ("shasx", "alu"), ("cbnz", "bc"), ("tbb", "bc"), ("nop.w", "nop"), ("dsb", "sys"), ("udivne", "div"),
        ("ldrd", "ldrd"), ("strd", "strd"), ("pushne", "stm"), ("lslls", "alu"), ("movlo", "alu"),
    ],
)  # fmt: skip
def test_classes_of_mnemonics(mnemonic, kind):
    assert classify(mnemonic) == kind


def test_bytes_that_are_no_instruction_are_refused():
    with pytest.raises(hooks.EmulationError, match="no Thumb instruction"):
        disassemble(b"\x00\xbf\xff\xff")
