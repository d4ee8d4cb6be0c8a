"""Where a run ends, what firmware that is not ours finds around it, and what goes wrong with it."""

from __future__ import annotations

import pytest

from crest.emulators.stubs import Stubs
from crest.errors import EmulationError
from crest.profiling import ProfileRequest, profile_firmware
from tests.emulators.firmware import M0PLUS, TARGET, asm, c

M0_TARGET = TARGET.model_copy(update={"name": "m0", "core": "cortex-m0plus", "fpu": "none"})
MAIN = "__attribute__((noinline)) int main(void)"
_SEMIHOSTING = """
static uint32_t host(uint32_t operation, const void *argument) {
  register uint32_t r0 __asm__("r0") = operation;
  register const void *r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}
"""


def profiled(elf, **options):
    return profile_firmware(ProfileRequest(elf, TARGET, **options))


def stubs(**peripherals):
    return Stubs.model_validate({"peripherals": peripherals})


def test_semihosting_writes_and_exits():
    found = profiled(
        c(
            _SEMIHOSTING
            + MAIN
            + """ {
      static const char letter = 'c';
      const uint32_t block[3] = {1, (uint32_t)"write\\n", 6}, code[2] = {0x20026, 3};
      host(0x04, "text, ");
      host(0x03, &letter);
      if (host(0x05, block) == 0 && host(0x99, 0) == 0xFFFFFFFFu) host(0x20, code);
      return 0;
    }"""
        )
    )
    assert found.output == "text, cwrite\n"
    assert found.exit_code == 3 and "exits with code 3 (semihosting)" in found.ends


@pytest.mark.parametrize(("reason", "code"), [("0x20026", 0), ("0x20023", 1)])
def test_the_old_exit_of_semihosting(reason, code):
    assert profiled(asm(f"  movs r0, #0x18\n  ldr r1, ={reason}\n  bkpt #0xab\n")).exit_code == code


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("bkpt #1", "a breakpoint (BKPT) in Reset_Handler+0x"),
        ("b .", "branches to itself for ever"),
        ("wfi", "the core sleeps in Reset_Handler+0x"),
        ("wfe", "the core sleeps in Reset_Handler+0x"),
        ("nop", "waits for input"),
    ],
)
def test_a_run_ends_where_the_firmware_does(body, words):
    found = profiled(asm(f"  movs r1, #3\n1: subs r1, #1\n  bne 1b\n  {body}\n"))
    assert words in found.ends and found.exit_code is None
    assert found.instructions >= 7
    if "nop" not in body:
        assert found.instructions <= 8


def test_the_limit_is_exact_to_a_block():
    body = f'{MAIN} {{ for (;;) {{ __asm__ volatile("nop\\n\\tnop"); }} }}'
    found = profiled(c(body), instructions_max=10_000)
    assert found.ends == "the limit of 10,000 instructions" and 9_990 <= found.instructions <= 10_000


def test_a_limit_below_the_first_block():
    with pytest.raises(EmulationError, match="the limit of 1 instructions is less than the first basic block"):
        profiled(asm("  nop\n  nop\n"), instructions_max=1)


def test_a_firmware_that_talks_for_ever_on_the_way(monkeypatch):
    monkeypatch.setattr("crest.profiling.run.INSTRUCTIONS_MAX", 100_000)
    body = f"""
    __attribute__((noinline)) void part(void) {{ __asm__ volatile("nop"); }}
    {MAIN} {{ static volatile uint8_t on; on = 1; while (on) put((const void *)&on, 1); part(); return 0; }}
    """
    with pytest.raises(EmulationError, match="part was not reached within 100,000 instructions"):
        profiled(c(body), begin="part")
    found = profiled(c(body), instructions_max=1000)
    assert set(found.output) == {"\x01"} and "the limit of 1,000" in found.ends


def test_the_limit_is_of_the_part_and_not_of_the_way_there():
    body = f"""
    __attribute__((noinline)) void part(void) {{ for (;;) __asm__ volatile("nop\\n\\tnop"); }}
    {MAIN} {{ for (int i = 0; i < 5000; i++) __asm__ volatile("nop"); part(); return 0; }}
    """
    found = profiled(c(body), begin="part", instructions_max=100)
    assert found.begins == "part is entered" and 90 <= found.instructions <= 100


def test_a_part_that_is_not_reached():
    with pytest.raises(EmulationError, match="put was not reached: the firmware waits for input"):
        profiled(c(f"{MAIN} {{ return 0; }}"), begin="put")
    found = profiled(c(f"{MAIN} {{ return 0; }}"), end="put")
    assert found.notes[0] == "put was not reached"


@pytest.mark.parametrize(
    ("name", "suggested"), [("mian", "main"), ("Reset", "Reset_Handler"), ("crest_layer_make", "crest_layer_mark")]
)
def test_a_function_that_does_not_exist(name, suggested):
    with pytest.raises(EmulationError, match=f"no function '{name}'; did you mean {suggested}") as caught:
        profiled(c(f"{MAIN} {{ return 0; }}"), begin=name)
    assert "inlined" in caught.value.hint


def test_a_stripped_firmware():
    with pytest.raises(EmulationError, match="it is stripped") as caught:
        profiled(c(f"{MAIN} {{ return 0; }}", flags=("-s",)))
    assert "before strip" in caught.value.hint


@pytest.mark.parametrize(("at", "value", "words"), [(18, 62, "EM_X86_64"), (4, 2, "not a readable ELF"), (0, 0, "ELF")])
def test_another_architecture(at, value, words):
    elf = bytearray(c(f"{MAIN} {{ return 0; }}"))
    elf[at] = value
    with pytest.raises(EmulationError, match=words):
        profiled(bytes(elf))


def test_code_of_a_larger_core():
    with pytest.raises(EmulationError, match="does not exist in ARMv6-M"):
        profile_firmware(ProfileRequest(asm("  udiv r0, r1, r2\n"), M0_TARGET))


def test_code_of_the_small_core():
    found = profile_firmware(ProfileRequest(asm("  movs r0, #2\n  muls r0, r0, r0\n", cpu=M0PLUS), M0_TARGET))
    assert found.mix["mul"] == 1 and found.core == "cortex-m0plus"


def test_a_peripheral_that_is_not_there_comes_with_its_stub():
    elf = c(f"{MAIN} {{ while (!(REG(0x40003104) & 1)) {{}} REG(0x40003200) = 7; return 0; }}")
    with pytest.raises(EmulationError, match="0x40003104") as caught:
        profiled(elf)
    line = "peripherals: {at_40003000: {base: 0x40003000}}"
    assert line in caught.value.hint
    # With the stub of the hint it waits for ever; now the hint names the register.
    with pytest.raises(EmulationError, match="endless loop") as caught:
        _with_small_budget(elf, stubs(at_40003000={"base": 0x40003000}))
    assert "0x40003104 was read" in caught.value.hint and "fixed: {0x104: 0xFFFFFFFF}" in caught.value.hint
    found = profiled(elf, stubs=stubs(at_40003000={"base": 0x40003000, "fixed": {0x104: 0xFFFFFFFF}}))
    assert "waits for input" in found.ends


def _with_small_budget(elf, given):
    from crest.profiling import run

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "INSTRUCTIONS_MAX", 200_000)
        return profiled(elf, stubs=given)


def test_a_limit_that_is_spent_on_polling_says_so():
    elf = c(f"{MAIN} {{ while (!REG(0x40003104)) {{}} return 0; }}")
    found = profiled(elf, stubs=stubs(p={"base": 0x40003000}), instructions_max=100_000)
    assert any("0x40003104 was read" in note for note in found.notes)


def test_an_unmapped_address_that_is_no_peripheral_has_no_stub():
    with pytest.raises(EmulationError, match="0x30000000") as caught:
        profiled(c(f"{MAIN} {{ return (int)REG(0x30000000); }}"))
    assert "stub" not in caught.value.hint


@pytest.mark.parametrize("address", ["0x20000001", "0x20000000", "0x60000001", "0xfffffff1"])
def test_a_jump_to_where_no_code_is(address):
    with pytest.raises(EmulationError, match="the firmware stopped at"):
        profiled(asm(f"  ldr r1, ={address}\n  bx r1\n"))


def test_registers_of_a_stub():
    body = """
    static uint32_t seen[12];
    static void say(uint32_t at, uint32_t got) { seen[at] = got; }
    __attribute__((noinline)) int main(void) {
      say(0, REG(0x40003000)); REG(0x40003000) = 1; say(1, REG(0x40003000));         /* fixed */
      say(2, REG(0x40003004)); say(3, REG(0x40003004)); say(4, REG(0x40003004));     /* one after the other */
      say(5, REG(0x40003008)); REG(0x40003008) |= 1; say(6, REG(0x40003008));        /* ready bits, and reset */
      REG(0x4000300c) = 'h'; *(volatile uint8_t *)0x4000300c = 'i'; say(7, REG(0x4000300c));
      REG(0x40003010) = 0x12345678; say(8, *(volatile uint8_t *)0x40003012);         /* storage */
      say(9, REG(0x40003104)); REG(0x40002500) = 4; say(10, REG(0x40002500));        /* in front of the target's */
      static const uint32_t expected[12] = {5, 5, 1, 2, 2, 0x100, 0x103, 0, 0x34, 9, 4};
      for (uint32_t i = 0; i < 12; i++) if (seen[i] != expected[i]) __asm__ volatile("bkpt 1");
      __asm__ volatile("bkpt 2");
      return 0;
    }
    """
    given = stubs(
        all={"base": 0x40003000, "size_bytes": 0x200, "fixed": {0x0: 5}, "sequence": {0x4: [1, 2]}, "output": [0xC],
             "registers": {0x8: 0x100}, "follows": {0x8: {0: 1}}},
        inner={"base": 0x40003100, "size_bytes": 0x10, "fixed": {0x4: 9}},
        uart={"base": 0x40002000},
    )  # fmt: skip
    elf = c(body)
    machine_end = profiled(elf, stubs=given)
    assert machine_end.output == "hi"
    place = int(machine_end.ends.rsplit("+", 1)[1], 16)
    image = [row for row in machine_end.functions if row.name == "main"]
    assert image and _halfword(elf, image[0].address + place) == 0xBE02


def _halfword(elf, address):
    from crest.emulators.elf import read_elf

    for segment in read_elf(elf, TARGET).segments:
        if segment.address <= address < segment.address + len(segment.data):
            at = address - segment.address
            return int.from_bytes(segment.data[at : at + 2], "little")
    return None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "at least 1"),
        ({"p": {}}, "base"),
        ({"p": {"base": -1}}, "greater than or equal to 0"),
        ({"p": {"base": 0x40000000, "size_bytes": 0}}, "greater than 0"),
        ({"p": {"base": 0x40000000, "fixed": {0x2: 1}}}, "multiple of 4"),
        ({"p": {"base": 0x40000000, "fixed": {0x1000: 1}}}, "outside of its 0x1000 bytes"),
        ({"p": {"base": 0x40000000, "fixed": {0: 1}, "output": [0]}}, "given twice"),
        ({"p": {"base": 0x40000000, "sequence": {0: []}}}, "at least 1"),
        ({"p": {"base": 0x40000000, "fixed": {0: 1 << 32}}}, "less than or equal to"),
    ],
)
def test_malformed_stubs(given, words):
    with pytest.raises(ValueError, match=words):
        stubs(**given)


def test_a_stub_on_top_of_memory():
    from crest.errors import AssetError

    with pytest.raises(AssetError, match="overlap a memory region"):
        profiled(c(f"{MAIN} {{ return 0; }}"), stubs=stubs(p={"base": 0x20000000}))


def test_code_in_ram():
    """Most of it runs where the target says nothing of its cycles."""
    body = f"""
    __attribute__((section(".data.code"), noinline)) void fast(void) {{
      for (int i = 0; i < 5000; i++) __asm__ volatile("nop");
    }}
    {MAIN} {{ void (*volatile run)(void) = fast; run(); return 0; }}
    """
    found = profiled(c(body))
    (fast,) = [row for row in found.functions if row.name == "fast"]
    assert fast.address >= TARGET.ram.base and fast.self_instructions > 15_000
    assert any("nothing is known of the cycles of code in ram" in note for note in found.notes)
    factor = TARGET.fetch_stall_factor.model_copy(update={"value": 1.0, "low": 1.0})
    known = TARGET.model_copy(update={"fetch_stall_factor_in": {"ram": factor}})
    again = profile_firmware(ProfileRequest(c(body), known))
    assert again.cycles.value * TARGET.fetch_stall_factor.value == pytest.approx(found.cycles.value)
    assert not any("nothing is known" in note for note in again.notes)
