"""Calls, tail calls, recursion and non-local jumps: every instruction is accounted for, in the context it ran in."""

from __future__ import annotations

import pytest

from crest.errors import EmulationError
from crest.profiling import FirmwareProfile, ProfileRequest, folded_stacks, profile_firmware
from tests.emulators.firmware import M0PLUS, TARGET, asm, c

M0_TARGET = TARGET.model_copy(update={"name": "m0", "core": "cortex-m0plus", "fpu": "none"})


def profiled(elf, target=TARGET, **options) -> FirmwareProfile:
    found = profile_firmware(ProfileRequest(elf, target, **options))
    cycles = found.cycles.value
    assert sum(found.mix.values()) == found.instructions
    assert sum(row.self_instructions for row in found.functions) == found.instructions
    assert sum(path.instructions for path in found.paths) == found.instructions
    assert sum(row.self_cycles for row in found.functions) == pytest.approx(cycles)
    assert sum(path.cycles for path in found.paths) == pytest.approx(cycles)
    return found


def by_name(found):
    return {row.name: row for row in found.functions}


def paths(found):
    return {";".join(path.functions): path.instructions for path in found.paths}


def test_a_call_and_its_cycles():
    found = profiled(
        asm("""
  bl work
  bl work
  b end
.thumb_func
.type work,%function
work:
  movs r2, #3
1: subs r2, #1
  bne 1b
  bx lr
.thumb_func
.type end,%function
end:
  bkpt #0
"""),
        end="end",
    )
    assert found.ends == "end is entered" and found.begins == "reset"
    assert paths(found) == {"Reset_Handler": 3, "Reset_Handler;work": 16}
    rows = by_name(found)
    assert rows["work"].calls == 2 and rows["Reset_Handler"].calls == 1
    # Cortex-M4: one cycle each, and two more for each taken branch: 4 loops back, 2 returns; 2 calls and the jump.
    # The branch that leads to the end belongs to what is profiled.
    stall = TARGET.fetch_stall_factor.value
    assert rows["work"].self_cycles == pytest.approx((16 + 2 * (4 + 2)) * stall)
    assert rows["Reset_Handler"].self_cycles == pytest.approx((3 + 2 * 3) * stall)
    assert rows["Reset_Handler"].inclusive_cycles == pytest.approx(found.cycles.value)


@pytest.mark.parametrize("cpu", ["m4", "m0"])
def test_the_compilers_calls(cpu):
    body = """
    __attribute__((noinline)) uint32_t leaf(uint32_t x) { for (int i = 0; i < 10; i++) __asm__ volatile("" : "+r"(x)); return x; }
    __attribute__((noinline)) uint32_t both(uint32_t x) { return leaf(x) + leaf(x + 1); }
    __attribute__((noinline)) uint32_t tail(uint32_t x) { return leaf(x + 7); }
    uint32_t (*volatile pointer)(uint32_t) = both;
    __attribute__((noinline)) int main(void) { uint32_t x = pointer(1); return (int)(x + tail(x) + both(x)); }
    """  # noqa: E501
    elf = c(body) if cpu == "m4" else c(body, cpu=M0PLUS, target=M0_TARGET)
    found = profiled(elf, TARGET if cpu == "m4" else M0_TARGET, begin="main")
    rows = by_name(found)
    assert (rows["leaf"].calls, rows["both"].calls, rows["tail"].calls) == (5, 2, 1)
    assert {"main", "main;both", "main;both;leaf", "main;tail", "main;tail;leaf"} == set(paths(found))
    assert rows["main"].inclusive_instructions == found.instructions
    assert found.ends == "main returns"


def test_recursion_counts_once():
    found = profiled(
        c("""
    __attribute__((noinline)) uint32_t fib(uint32_t n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
    volatile uint32_t sink;
    __attribute__((noinline)) int main(void) { sink = fib(12); return 0; }
    """),
        begin="main",
    )
    rows = by_name(found)
    assert rows["main"].inclusive_cycles == pytest.approx(found.cycles.value)
    assert rows["fib"].inclusive_cycles == pytest.approx(rows["fib"].self_cycles)
    assert max(len(path.functions) for path in found.paths) <= 13


def test_recursion_deeper_than_the_paths_comes_back_to_the_right_place():
    found = profiled(
        c("""
    __attribute__((noinline)) uint32_t odd(uint32_t n);
    __attribute__((noinline)) uint32_t even(uint32_t n) { return n ? odd(n - 1) + 1 : 1; }
    __attribute__((noinline)) uint32_t odd(uint32_t n) { return n ? even(n - 1) + 1 : 0; }
    __attribute__((noinline)) uint32_t after(uint32_t n) { __asm__ volatile("" : "+r"(n)); return n; }
    volatile uint32_t sink;
    __attribute__((noinline)) int main(void) { sink = even(1000); sink = after(sink); return 0; }
    """),
        begin="main",
    )
    rows = by_name(found)
    assert rows["even"].calls == 501 and rows["odd"].calls == 500
    assert "main;after" in paths(found)
    assert rows["main"].inclusive_instructions == found.instructions
    assert any("deeper than 256" in note for note in found.notes)
    assert max(len(path.functions) for path in found.paths) <= 258


def test_tail_calls_in_a_circle_do_not_grow_the_path():
    found = profiled(
        asm("""
  ldr r4, =5000
  bl first
  b .
.thumb_func
.type first,%function
first:
  subs r4, #1
  b second
.thumb_func
.type second,%function
second:
  cmp r4, #0
  bne first
  bx lr
""")
    )
    assert set(paths(found)) == {"Reset_Handler", "Reset_Handler;first", "Reset_Handler;first;second"}
    rows = by_name(found)
    assert rows["first"].calls == rows["second"].calls == 5000
    assert "branches to itself for ever" in found.ends
    assert rows["Reset_Handler"].self_instructions == 3, "rounds of the endless branch are left out"


def test_a_jump_out_of_several_functions():
    """As longjmp does: stack pointer and return address of an outer function are restored, its callees are gone."""
    found = profiled(
        asm("""
  bl outer
  bl last
  b .
.thumb_func
.type outer,%function
outer:
  push {r4, lr}
  mov r4, sp
  ldr r5, =landing
  bl middle
  nop
landing:
  nop
  bl leaf
  pop {r4, pc}
.thumb_func
.type middle,%function
middle:
  push {r4, lr}
  bl inner
  nop
  pop {r4, pc}
.thumb_func
.type inner,%function
inner:
  push {r4, r6, r7, lr}
  orr r5, r5, #1
  mov sp, r4
  bx r5
.thumb_func
.type leaf,%function
leaf:
  bx lr
.thumb_func
.type last,%function
last:
  bx lr
""")
    )
    base = "Reset_Handler;outer"
    assert paths(found) == {
        "Reset_Handler": 3,
        base: 7,
        f"{base};middle": 2,
        f"{base};middle;inner": 4,
        f"{base};leaf": 1,
        "Reset_Handler;last": 1,
    }


def test_a_long_jump_is_no_call():
    """GCC branches far within a function by BL on ARMv6-M."""
    found = profiled(
        asm("""
  bl work
  b .
.thumb_func
.type work,%function
work:
  push {r4, lr}
  bl 1f
  nop
1:
  pop {r4, pc}
""")
    )
    assert paths(found) == {"Reset_Handler": 2, "Reset_Handler;work": 3}
    assert by_name(found)["work"].calls == 1


def test_a_helper_that_returns_elsewhere():
    """As GCC's helpers for switch tables do: they change where they return to."""
    found = profiled(
        asm("""
  bl chooser
  bl last
  b .
.thumb_func
.type chooser,%function
chooser:
  push {r4, lr}
  bl helper
  nop
  nop
  nop
  pop {r4, pc}
.thumb_func
.type helper,%function
helper:
  mov r0, lr
  adds r0, #4
  bx r0
.thumb_func
.type last,%function
last:
  bx lr
""")
    )
    assert paths(found) == {
        "Reset_Handler": 3,
        "Reset_Handler;chooser": 4,
        "Reset_Handler;chooser;helper": 3,
        "Reset_Handler;last": 1,
    }


def test_a_switch_of_stacks_keeps_what_functions_cost():
    """Two stacks that call each other confuse the paths; the cost of each function in itself stays exact."""
    found = profiled(
        asm("""
  bl task
  bl task
  b .
.thumb_func
.type task,%function
task:
  push {r4, lr}
  mov r4, sp
  ldr r5, =0x20001000
  mov sp, r5
  bl other
  mov sp, r4
  pop {r4, pc}
.thumb_func
.type other,%function
other:
  nop
  bx lr
""")
    )
    rows = by_name(found)
    assert (rows["task"].self_instructions, rows["other"].self_instructions) == (14, 4)
    assert rows["other"].calls == 2


def test_code_of_no_function_has_a_name_of_its_own():
    found = profiled(
        asm("""
  bl work
  b .
.thumb_func
.type work,%function
work:
  b outside
.size work, . - work
  nop
outside:
  bx lr
""")
    )
    assert paths(found)["Reset_Handler;work;[no function]"] == 1


def test_the_whole_of_an_inference_is_what_the_engine_counts():
    """The same window, once by the marks of the measurement and once by following calls."""
    from crest.emulators.unicorn_engine import UnicornEngine

    elf = c("""
    __attribute__((noinline)) uint32_t square(uint32_t x) { return x * x; }
    __attribute__((noinline)) uint32_t sum(uint32_t n) { uint32_t s = 0; for (uint32_t i = 0; i < n; i++) s += square(i); return s; }
    volatile uint32_t sink;
    __attribute__((noinline)) void all(void) { crest_layer_mark(OPEN); sink = sum(50); crest_layer_mark(CLOSE); }
    __attribute__((noinline)) int main(void) { all(); return 0; }
    """)  # noqa: E501
    machine = UnicornEngine().boot(elf, TARGET)
    machine.receive()
    counted = machine.profile().total()
    machine.close()
    found = profiled(elf, begin="sum")
    marks = 2  # of crest_layer_mark, and what all() does around its calls
    assert 0 < counted["instructions"] - found.instructions <= marks + 8
    assert found.mix["mul"] == counted["mul"] == 50


def test_more_contexts_than_there_is_room_for(monkeypatch):
    """Every function is still itself; only the way to it is not known any more."""
    body = "".join(
        f"__attribute__((noinline)) uint32_t f{n}(uint32_t x) {{ return f{n + 1}(x + {n}) * 3 + f{n + 1}(x); }}\n"
        for n in reversed(range(8))
    )
    elf = c(
        '__attribute__((noinline)) uint32_t f8(uint32_t x) { __asm__ volatile("" : "+r"(x)); return x; }\n'
        + body
        + "volatile uint32_t sink;\n__attribute__((noinline)) int main(void) { sink = f0(1) + f3(2); return 0; }\n"
    )
    whole = profiled(elf, begin="main")
    monkeypatch.setattr("crest.emulators.call_hook._NODES_LOG2", 2)
    monkeypatch.setattr("crest.emulators.call_hook.NODES_MAX", 4)
    monkeypatch.setattr("crest.profiling.summary.NODES_MAX", 4)
    found = profiled(elf, begin="main")
    before, after = by_name(whole), by_name(found)
    assert before.keys() == after.keys()
    for name, row in before.items():
        assert (row.calls, row.self_instructions) == (after[name].calls, after[name].self_instructions)
        assert row.self_cycles == pytest.approx(after[name].self_cycles)
    assert any("4 different paths" in note for note in found.notes)
    assert {path.functions for path in found.paths if len(path.functions) == 1} >= {("f8",), ("f7",)}


def test_functions_of_the_same_name_are_told_apart():
    elf = asm("""
  bl work
  bl twin
  b .
.thumb_func
.type work,%function
work:
  nop
  bx lr
.size work, . - work
.thumb_func
.type twin,%function
twin:
  nop
  nop
  bx lr
.size twin, . - twin
""")
    elf = elf.replace(b"\0twin\0", b"\0work\0")  # as two static functions are in two files
    found = profiled(elf)
    costs = sorted(row.self_instructions for row in found.functions if row.name.startswith("work@0x"))
    assert costs == [2, 3]
    with pytest.raises(EmulationError, match="several functions are called 'work'") as caught:
        profiled(elf, begin="work")
    name = caught.value.hint.split()[-1]
    assert profiled(elf, begin=name).begins == f"{name} is entered"


def test_profiles_are_the_same_every_time():
    elf = c("__attribute__((noinline)) int main(void) { for (volatile int i = 0; i < 100; i++) {} return 0; }")
    assert profiled(elf) == profiled(elf)
    assert folded_stacks(profiled(elf)).startswith("Reset_Handler")
