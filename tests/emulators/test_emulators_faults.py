"""Firmware that goes wrong is stopped, and the error says what, where and with which registers."""

from __future__ import annotations

import pytest

from crest.errors import EmulationError
from tests.emulators.firmware import M0PLUS, TARGET, asm, c

M0_TARGET = TARGET.model_copy(update={"name": "m0", "core": "cortex-m0plus", "fpu": "none"})
NO_FPU = TARGET.model_copy(update={"name": "nofpu", "fpu": "none"})

FAULTS = {
    "unmapped read": ("ldr r1, =0x30000000\n  ldr r2, [r1]", r"read where .*: 4 bytes at 0x30000000"),
    "unmapped write": ("ldr r1, =0x20040000\n  strb r1, [r1]", r"write where .*: 1 bytes at 0x20040000"),
    "write to flash": ("movs r1, #0\n  str r1, [r1]", "write to flash: 4 bytes at 0x00000000"),
    "jump to nowhere": ("ldr r1, =0x60000001\n  bx r1", "jump to where the target has no memory"),
    "erased flash": ("ldr r1, =0xf0001\n  bx r1", "an instruction that the core does not have"),
    "ARM mode": ("ldr r1, =0x20000\n  bx r1", "ARM mode"),
    "undefined": ("udf #1", "an instruction that the core does not have"),
    "breakpoint": ("bkpt #0", "BKPT"),
    "supervisor call": ("svc #0", "SVC"),
    "exception return": ("mvn r1, #6\n  bx r1", "exception"),
    "wait for event": ("wfe", "WFE"),
    "double precision": (".inst.w 0xee300b00", "an instruction that the core does not have"),  # vadd.f64 d0, d0, d0
    "sleep for ever": ("wfi", "nothing that could wake"),
    "spin": ("b .", "branches to itself"),
    "endless loop": ("1: nop\n  nop\n  nop\n  b 1b", "an endless loop"),
    "bad mark": ("MARK 0x12345", "undefined id 0x12345"),
    "no peripheral": ("ldr r1, =0x40003000\n  ldr r1, [r1]", "where the target has n"),
    "beyond a peripheral": ("ldr r1, =0x40002ffe\n  ldr r1, [r1, #2]", "where the target has n"),
    "trace port": ("ldr r1, =0xE0040000\n  ldr r1, [r1]", "private peripheral bus"),
    "reset": ("ldr r1, =0xE000ED0C\n  ldr r0, =0x05FA0004\n  str r0, [r1]", "asked for a reset"),
}  # fmt: skip


@pytest.mark.parametrize("counted", [False, True], ids=["plain", "memory counted"])
@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_named(boot, name, counted):
    body, message = FAULTS[name]
    elf = asm(f"  MARK 0xFFFFFFFE\n  MARK 5\n  {body}\n")
    machine = boot(elf, guard_blocks=100_000 + 100)
    machine.count_memory(counted)
    with pytest.raises(EmulationError, match=message) as caught:
        machine.receive()
    with pytest.raises(EmulationError) as plain:
        boot(elf, guard_blocks=100_000 + 100).receive()
    if "write" not in name:  # without hooks, Unicorn stops behind a store
        assert str(caught.value) == str(plain.value)
    assert "in layer 5" in str(caught.value)
    assert "registers: r0=" in caught.value.hint
    if name not in ("jump to nowhere", "erased flash", "ARM mode", "exception return", "bad mark"):
        assert "Reset_Handler+0x" in str(caught.value)
    with pytest.raises(EmulationError, match=message):  # it stays as it is
        machine.receive()


RECURSION = """
  .global crest_stack_limit
  .set crest_stack_limit, 0x2003f000
  MARK 0xFFFFFFFE
  MARK 5
  bl deeper
  b .
  .thumb_func
deeper: push {r4-r7, lr}
  bl deeper
"""


@pytest.mark.parametrize("counted", [False, True], ids=["plain", "memory counted"])
def test_a_stack_that_grows_into_the_data_below_is_stopped(boot, counted):
    machine = boot(asm(RECURSION))
    machine.count_memory(counted)
    with pytest.raises(EmulationError, match=r"\(deeper\+?\w*\), in layer 5: the stack overflows") as caught:
        machine.receive()
    below = int(str(caught.value).split("reaches ")[1].split()[0])
    assert "its limit, 0x2003f000" in str(caught.value)
    # 20 bytes a call, found in the next block or within 64.
    assert below <= (20 if counted else 64 * 20)
    assert "sp=0x2003e" in caught.value.hint


def test_a_stack_that_stays_above_its_limit_is_left_alone(boot):
    assert (
        boot(asm("  .global crest_stack_limit\n  .set crest_stack_limit, 0x2003ff00\n  push {r0-r7}\n")).receive()
        == b""
    )


def test_the_place_is_right(boot):
    machine = boot(c("int main(void) { REG(0x20000000) = REG(0x33333330); return 0; }"))
    with pytest.raises(
        EmulationError, match=r"at 0x000\w+ \((main|Reset_Handler)[+\w]*\), outside of the latency window"
    ):
        machine.receive()


def test_a_long_run_that_ends_is_no_endless_loop(boot):
    body = "ldr r1, =50000\n1: nop\n  subs r1, #1\n  bne 1b\n"
    assert boot(asm(body), guard_blocks=50_100).receive() == b""
    with pytest.raises(EmulationError, match="49900 basic blocks"):
        boot(asm(body), guard_blocks=49_900).receive()


def test_a_closed_machine_says_so(boot):
    machine = boot(asm("  nop\n"))
    machine.close()
    with pytest.raises(EmulationError, match="closed"):
        machine.receive()


def test_ram_is_not_zero_after_power_up(boot):
    machine = boot(
        c("static volatile uint32_t cell; int main(void) { static uint8_t t; t = cell != 0; put(&t, 1); return 0; }")
    )
    assert machine.receive() == b"\x01"  # this start-up code forgets to clear .bss


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        (".inst.w 0xfb213002", "smlad r0, r1, r2, r3"),
        (".inst.n 0xb100", "cbz r0"),
        (".inst.w 0xf2400001", "movw r0, #1"),
        (".inst.n 0xbf08\n  nop", "it eq"),
        (".inst.w 0xf3bf8f2f", "clrex"),
    ],
)
def test_code_for_a_larger_core_is_refused_before_it_runs(boot, encoding, name):
    elf = asm(f"  b 1f\n  {encoding}\n1:\n", cpu=M0PLUS)
    message = rf"'{name}[^']*' at 0x\w+ \(Reset_Handler\+0x\w+\) does not exist in ARMv6-M"
    with pytest.raises(EmulationError, match=message):
        boot(elf, M0_TARGET)


def test_code_for_the_small_core_runs_and_literals_are_no_code(boot):
    body = "  ldr r1, =0xE800E800\n  ldr r2, =0xB100B100\n  MARK 0xFFFFFFFE\n  muls r1, r2, r1\n  MARK 0xFFFFFFFF\n"
    machine = boot(asm(body, cpu=M0PLUS), M0_TARGET)
    assert machine.receive() == b""
    assert machine.profile().core == "cortex-m0plus"
    assert machine.profile().overhead["mul"] == 1


def test_a_stripped_image_is_linted_when_it_is_profiled(boot):
    """Unicorn's M0 accepts CBZ; without mapping symbols only executed code can be checked."""
    machine = boot(asm("  MARK 0xFFFFFFFE\n  movs r0, #1\n  cbz r0, 1f\n1:\n  MARK 0xFFFFFFFF\n"))
    machine.receive()
    machine._target = M0_TARGET
    with pytest.raises(EmulationError, match="does not exist in ARMv6-M"):
        machine.profile()


@pytest.mark.parametrize(
    "access", ["ldr r2, [r1]", "str r2, [r1]", "ldrh r2, [r1, r3]", "strh r2, [r1, r3]", "ldm r1!, {r2}"]
)
def test_unaligned_accesses_are_faults_of_the_small_core(boot, access):
    body = f"  ldr r1, =0x20000102\n  movs r3, #1\n  {access}\n"
    with pytest.raises(EmulationError, match="unaligned access"):
        boot(asm(body, cpu=M0PLUS), M0_TARGET).receive()


def test_floating_point_without_an_fpu_is_found(boot):
    elf = asm("  MARK 0xFFFFFFFE\n  vmov.f32 s0, s1\n  MARK 0xFFFFFFFF\n")
    boot(elf).receive()
    machine = boot(elf, NO_FPU)
    machine.receive()
    with pytest.raises(EmulationError, match="has no FPU"):
        machine.profile()
