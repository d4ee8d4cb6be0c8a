"""Accesses that must be aligned are errors where accesses are counted, and name their instruction."""

from __future__ import annotations

import pytest

from crest.emulators import hooks, lazy_pc
from crest.errors import EmulationError
from tests.emulators.firmware import asm, c

FAULTS = [
    "ldrd r2, r3, [r4]",
    "strd r2, r3, [r4, #8]",
    "ldm r4!, {r1, r2, r3}",
    "ldmdb r4, {r1, r2}",
    "stm r4!, {r1, r2}",
    "vldr s0, [r4]",
    "vldr d0, [r4]",
    "vstr s1, [r4, #4]",
    "vldmia r4!, {s0-s2}",
    "vstmia r4!, {d0-d1}",
]
HARMLESS = ["ldr r1, [r4]", "str r1, [r4, #4]", "ldrh r1, [r4, #1]", "strh r1, [r5, #1]", "ldrsh.w r1, [r4, #1]"]


@pytest.fixture
def run(boot, memory_hook):
    """Profile a program that has an address in r4 with accesses counted, by either way of hooking memory."""

    def profile(body, address=0x20000102):
        machine = boot(
            asm(f"  ldr r4, ={address:#x}\n  ldr r5, =0x20000200\n  MARK 0xFFFFFFFE\n{body}\n  MARK 0xFFFFFFFF\n")
        )
        machine.count_memory(True)
        machine.receive()
        return machine.profile()

    return profile


@pytest.mark.parametrize("instruction", FAULTS)
def test_what_faults_on_silicon_is_an_error(run, instruction):
    mnemonic = instruction.split()[0]
    body = f"  ldr r1, [r5]\n  ldrb r1, [r4]\n  {instruction}\n  ldr r1, [r5]\n  strd r1, r2, [r5]"
    with pytest.raises(EmulationError, match=rf"'{mnemonic}[^']*' at 0x\w+ \(Reset_Handler\+0x\w+\).* fault") as caught:
        run(body)
    assert "align" in caught.value.hint
    assert run(body, address=0x20000100).total()["load_ram"] > 2


def test_the_instruction_is_the_right_one(run):
    body = "  ldr r1, [r4]\n  ldrd r2, r3, [r5]\n  ldm r5, {r1, r2}\n  strh r1, [r4, #1]\n  vldr d1, [r5]\n"
    assert run(body).total()["unaligned_ram"] == 2
    with pytest.raises(EmulationError, match=r"'ldrd r2, r3, \[r4, #4\]'"):
        run(body + "  ldrd r2, r3, [r4, #4]\n  ldr r1, [r4]\n")


@pytest.mark.parametrize("instruction", HARMLESS)
def test_what_may_be_unaligned_passes_beside_what_may_not(run, instruction):
    profile = run(f"  ldrd r2, r3, [r5]\n  {instruction}\n  ldm r5, {{r2, r3}}\n  vldr s0, [r5]")
    assert profile.total()["unaligned_ram"] == 1


@pytest.mark.parametrize("condition", ["eq", "ne"])
def test_behind_a_conditional_access(run, condition):
    """Whether the first load happened is not known; the second half of the double load tells enough."""
    body = f"  movs r1, #0\n  cmp r1, #0\n  it {condition}\n  ldr{condition} r1, [r5]\n"
    with pytest.raises(EmulationError, match="'ldrd"):
        run(body + "  ldrd r2, r3, [r4]")
    assert run(body + "  ldr r2, [r4]\n  ldrd r2, r3, [r5]").total()["unaligned_ram"] == 1


def test_compiled_code_may_read_unaligned_words(boot):
    elf = c("""
struct __attribute__((packed)) odd { uint8_t tag; uint32_t words[6]; };
static volatile struct odd odd = {1, {2, 3, 4, 5, 6, 7}};
int main(void) {
  static uint32_t sum;
  sum = 0;
  crest_layer_mark(OPEN);
  for (int i = 0; i < 6; i++) sum += odd.words[i];
  crest_layer_mark(CLOSE);
  put(&sum, 4);
  return 0;
}
""")
    machine = boot(elf)
    machine.count_memory(True)
    assert machine.receive() == (27).to_bytes(4, "little")
    assert machine.profile().total()["unaligned_ram"] == 6


def test_many_places_grow_their_table(boot, monkeypatch):
    monkeypatch.setattr(hooks, "_UNALIGNED_LOG2", 6)
    body = "".join("  ldr r1, [r4]\n  b 1f\n1:\n" for _ in range(300)) + "  ldrd r2, r3, [r4]\n"
    machine = boot(asm("  ldr r4, =0x20000102\n  MARK 0xFFFFFFFE\n" + body + "  MARK 0xFFFFFFFF\n"))
    machine.count_memory(True)
    machine.receive()
    assert machine._hooks.state.unaligned[0].capacity_log2 == 10
    assert int(machine._hooks.accesses()[:, :, 2].sum()) == 302
    assert int(machine._hooks.unaligned()["count"].sum()) == 302
    with pytest.raises(EmulationError, match="'ldrd"):
        machine.profile()


def test_the_flag_is_found_in_the_pinned_unicorn():
    assert lazy_pc._is_understood()


def test_an_unknown_unicorn_is_left_alone(monkeypatch):
    monkeypatch.setattr(lazy_pc.unicorn, "__version__", "2.1.5")
    assert not lazy_pc._is_understood.__wrapped__()
    monkeypatch.undo()
    monkeypatch.setattr(lazy_pc, "_OFFSET", 0x3A30)  # inside of the structure, but another field
    assert not lazy_pc._is_understood.__wrapped__()
