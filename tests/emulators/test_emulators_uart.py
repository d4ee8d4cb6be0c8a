"""The UART that carries the protocol, and the core's own peripherals."""

from __future__ import annotations

import pytest

from crest.errors import EmulationError
from tests.emulators.firmware import asm, c

ECHO = """
int main(void) {
  static uint8_t data[3];
  for (;;) { get(data, 3); data[0] ^= 0x20; put(data, 3); }
}
"""


def test_echo_and_waiting(boot):
    machine = boot(c(ECHO))
    assert machine.receive() == b""
    assert machine.receive() == b""
    machine.send(b"ab")
    assert machine.receive() == b""
    machine.send(b"cdef")
    assert machine.receive() == b"Abc"
    assert machine.receive() == b"Def"
    assert machine.receive() == b""


def test_bytes_sent_before_the_firmware_listens_are_kept(boot):
    machine = boot(c(ECHO))
    machine.send(b"xyzxyz")
    assert machine.receive() + machine.receive() == b"XyzXyz"


def test_everything_written_before_waiting_arrives(boot):
    machine = boot(c('int main(void) { static char t[] = "one"; put(t, 3); put(t, 0); put(t + 1, 2); return 0; }'))
    assert b"".join(iter(machine.receive, b"")) == b"onene"


def test_two_machines_do_not_share_anything(boot):
    elf = c(ECHO)
    first, second = boot(elf), boot(elf)
    first.send(b"abc")
    assert second.receive() == b""
    assert first.receive() == b"Abc"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("static const char t[] = {1, 2}; int main(void) { put(t, 2); return 0; }", "DMA transfer of 2 bytes at 0x000"),
        ("int main(void) { put((void *)0x2003FFFF, 2); return 0; }", "DMA transfer of 2 bytes at 0x2003ffff"),
        ("int main(void) { get((void *)0x10000, 2); return 0; }", "which is not RAM"),
        ("int main(void) { REG(0x40002500) = 0; put((void *)0x20000000, 1); return 0; }", "ENABLE is not 8"),
        ("int main(void) { REG(0x40002200) = 1; return 0; }", "write of 4 bytes at offset 0x200 is beyond the model"),
        ("int main(void) { *(volatile uint8_t *)0x40002500 = 8; return 0; }", "write of 1 bytes"),
        ("int main(void) { return REG(0x4000251C); }", "read of 4 bytes at offset 0x51c is beyond the model"),
    ],
)
def test_what_the_chip_cannot_do_is_an_error(boot, body, message):
    machine = boot(c(body))
    with pytest.raises(EmulationError, match=message):
        machine.receive()


def test_stopping_reception_ends_it_with_what_came(boot):
    machine = boot(
        c("""
int main(void) {
  static uint8_t out[8];
  REG(0x40002534) = (uint32_t)(out + 1); REG(0x40002538) = 7; REG(0x40002000) = 1;
  while (!REG(0x4000214C)) {}
  REG(0x40002004) = 1;
  while (!REG(0x40002110) || !REG(0x40002144)) {}
  out[0] = REG(0x4000253C);
  put(out, 1 + out[0]);
  return 0;
}
""")
    )
    machine.send(b"hey")
    assert machine.receive() == b"\x03hey"


SLEEPER = """
int main(void) {
  static uint8_t byte;
  __asm__ volatile("cpsid i");
  INTEN;
  for (;;) {
    REG(0x40002534) = (uint32_t)&byte; REG(0x40002538) = 1; REG(0x40002110) = 0; REG(0x40002000) = 1;
    __asm__ volatile("wfi" ::: "memory");
    if (!REG(0x40002110)) { byte = '!'; }
    put(&byte, 1);
  }
}
"""


def test_a_core_asleep_is_woken_by_input(boot):
    machine = boot(c(SLEEPER, flags=("-DINTEN=REG(0x40002304)=1<<4",)))
    assert machine.receive() == b""
    assert machine.receive() == b""
    machine.send(b"q")
    assert machine.receive() == b"q"
    machine.send(b"rs")
    assert (machine.receive(), machine.receive(), machine.receive()) == (b"r", b"s", b"")


def test_sleeping_without_the_interrupt_enabled_is_for_ever(boot):
    with pytest.raises(EmulationError, match="nothing that could wake"):
        boot(c(SLEEPER, flags=("-DINTEN=REG(0x40002308)=1<<4",))).receive()


def run_words(boot, body, count):
    machine = boot(c(f"int main(void) {{ static uint32_t w[{count}]; {body} put(w, sizeof w); return 0; }}"))
    data = machine.receive()
    return [int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 4)]


def test_registers_of_the_core(boot):
    words = run_words(
        boot,
        "w[0] = REG(0xE000ED00); REG(0xE000ED88) |= 0xF << 20; w[1] = REG(0xE000ED88); REG(0xE000ED08) = 0x10000;"
        "w[2] = REG(0xE000ED08); w[3] = REG(0xE000ED0C); *(volatile uint8_t *)0xE000E402 = 0xA0;"
        "w[4] = REG(0xE000E400);",
        5,
    )
    assert words == [0x410FC241, 0xF << 20, 0x10000, 0xFA050000, 0xA00000]


def test_cycle_counter_follows_execution_while_enabled(boot):
    loop = "for (volatile int i = 0; i < 100; i++) {}"
    words = run_words(
        boot,
        f"w[0] = REG(0xE0001004); {loop} w[1] = REG(0xE0001004); REG(0xE000EDFC) = 1 << 24; REG(0xE0001004) = 1000;"
        f"REG(0xE0001000) |= 1; w[2] = REG(0xE0001004); {loop} w[3] = REG(0xE0001004); REG(0xE0001000) &= ~1u;"
        f"w[4] = REG(0xE0001004); {loop} w[5] = REG(0xE0001004);",
        6,
    )
    assert words[0] == words[1] == 0
    assert 1000 <= words[2] < 1100
    assert words[3] - words[2] > 300
    assert words[4] == words[5] >= words[3]


def test_systick_counts_down_and_flags_its_wrap(boot):
    words = run_words(
        boot,
        "REG(0xE000E014) = 999; REG(0xE000E018) = 0; REG(0xE000E010) = 5; uint32_t a = REG(0xE000E018);"
        "int wraps = 0; for (int i = 0; i < 2000; i++) wraps += REG(0xE000E010) >> 16 & 1;"
        "w[0] = a; w[1] = REG(0xE000E018); w[2] = wraps; w[3] = REG(0xE000E010) & 7;",
        4,
    )
    assert words[0] <= 999
    assert words[1] <= 999
    assert words[2] >= 2
    assert words[3] == 5


def test_reset_values_and_storage_of_plain_registers(boot):
    words = run_words(
        boot,
        "w[0] = REG(0x4001E400); REG(0x40000000) = 1; w[1] = REG(0x40000000); REG(0x50000504) = 0x12345678;"
        "w[2] = *(volatile uint8_t *)0x50000506; *(volatile uint16_t *)0x50000506 = 0xABCD; w[3] = REG(0x50000504);",
        4,
    )
    assert words == [1, 1, 0x34, 0xABCD5678]


def test_polling_an_event_that_never_comes_is_an_endless_loop(boot):
    body = "ldr r1, =0x40002110\n1: ldr r0, [r1]\n  cmp r0, #0\n  beq 1b\n"
    with pytest.raises(EmulationError, match="endless loop"):
        boot(asm(body), guard_blocks=1000).receive()
