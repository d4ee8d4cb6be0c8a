"""Costs by source line, with the line tables that compilers write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crest.profiling import ProfileRequest, profile_firmware, speedscope
from tests.emulators.firmware import TARGET, c

PROGRAM = """
__attribute__((noinline)) uint32_t work(uint32_t n) {
  uint32_t sum = 0;
  for (uint32_t i = 0; i < n; i++) {
    __asm__ volatile("nop\\n\\tnop\\n\\tnop");  /* three */
    sum += n / (i + 1);  /* divided */
  }
  return sum;
}
volatile uint32_t sink;
__attribute__((noinline)) int main(void) { sink = work(100); return 0; }
"""


def test_a_line_costs_what_its_instructions_cost():
    elf = c(
        """
__attribute__((naked, noinline)) void work(void) {
#line 10 "folder/program.c"
  __asm__ volatile("movs r2, #100\\n1:");
#line 20
  __asm__ volatile("nop\\n\\tnop\\n\\tnop");
#line 30
  __asm__ volatile("ldr r0, [sp, #-4]");
#line 40
  __asm__ volatile("ldr r1, [sp, #-8]");
#line 50
  __asm__ volatile("subs r2, #1\\n\\tbne 1b");
#line 60
  __asm__ volatile("bx lr");
}
int main(void) { work(); return 0; }
""",
        flags=("-g",),
    )
    found = profile_firmware(ProfileRequest(elf, TARGET, begin="work"))
    cycles = {row.line: row.cycles / TARGET.fetch_stall_factor.value for row in found.lines}
    # Cortex-M4: a load takes two cycles, behind another load one; a taken branch two more than its instruction.
    assert cycles == pytest.approx({10: 1, 20: 300, 30: 200, 40: 100, 50: 200 + 99 * 2, 60: 1 + 2})
    assert {row.line: row.instructions for row in found.lines} == {10: 1, 20: 300, 30: 100, 40: 100, 50: 200, 60: 1}
    assert all(row.file.endswith("folder/program.c") for row in found.lines)
    assert found.notes == ()


@pytest.mark.parametrize("flags", [("-g",), ("-gdwarf-4",), ("-gdwarf-5",), ("-gdwarf-2", "-O1"), ("-g", "-Os")])
def test_the_line_tables_of_a_compiler(flags):
    found = profile_firmware(ProfileRequest(c(PROGRAM, flags=flags), TARGET, begin="main"))
    assert found.lines_missing is None and found.mix["div"] == 100
    assert all(Path(row.file).name == "a.c" for row in found.lines)
    assert any(row.instructions == 300 for row in found.lines)
    lines, total = sum(row.cycles for row in found.lines), found.cycles.value
    missing = [note for note in found.notes if "no source line" in note]
    assert lines == pytest.approx(total) if not missing else lines < total


def test_without_line_tables_a_reason_is_given():
    found = profile_firmware(ProfileRequest(c(PROGRAM, flags=("-g0",)), TARGET, begin="main"))
    assert not found.lines and "compile and link with -g" in found.lines_missing


def test_damaged_line_tables_are_a_reason_not_an_error():
    elf = bytearray(c(PROGRAM, flags=("-g", "-gdwarf-5")))
    import io

    from elftools.elf.elffile import ELFFile

    section = ELFFile(io.BytesIO(bytes(elf))).get_section_by_name(".debug_line")
    for at in range(section["sh_offset"], section["sh_offset"] + section["sh_size"]):
        elf[at] ^= 0x5A
    found = profile_firmware(ProfileRequest(bytes(elf), TARGET, begin="main"))
    assert found.lines_missing or not found.lines
    assert found.functions


def test_speedscope_holds_all_cycles():
    found = profile_firmware(ProfileRequest(c(PROGRAM, flags=("-g",)), TARGET, begin="main"))
    document = json.loads(speedscope(found, "a.elf"))
    (sampled,) = document["profiles"]
    assert sum(sampled["weights"]) == pytest.approx(found.cycles.value) == pytest.approx(sampled["endValue"])
    names = [frame["name"] for frame in document["shared"]["frames"]]
    assert [[names[number] for number in stack] for stack in sampled["samples"]] == [["main"], ["main", "work"]]
    assert all(frame["file"].endswith("a.c") and frame["line"] > 0 for frame in document["shared"]["frames"])
