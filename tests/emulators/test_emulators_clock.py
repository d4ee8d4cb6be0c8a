"""Firmware that measures itself reads what the host predicts."""

from __future__ import annotations

import struct

import pytest

from crest.targets import load_target
from crest.timing import load_cycle_model
from tests.emulators.firmware import M0PLUS, TARGET, c

WORK = """
static volatile int16_t samples[64];
static const int8_t factors[64] = {3, -7, 11};
__attribute__((noinline)) static int work(int rounds) {
  int sum = 0;
  for (int n = 0; n < rounds; n++) {
    for (int i = 0; i < 64; i++) sum += samples[i] * factors[i];
    samples[n & 63] = (int16_t)(sum >> 3);
  }
  return sum;
}
static struct { uint32_t cycles; int sum; uint32_t outside; } result;
int main(void) {
  %(start)s
  crest_layer_mark(OPEN);
  crest_layer_mark(0);
  uint32_t begin = %(read)s;
  result.sum = work(%(rounds)d);
  uint32_t end = %(read)s;
  crest_layer_mark(CLOSE);
  result.cycles = (%(elapsed)s) & 0xFFFFFFu;
  uint32_t later = %(read)s;
  begin = end; end = later;
  result.outside = (%(elapsed)s) & 0xFFFFFFu;
  put(&result, sizeof result);
  return 0;
}
"""
DWT = {
    "start": "REG(0xE000EDFC) |= 1u << 24; REG(0xE0001004) = 0; REG(0xE0001000) |= 1;",
    "read": "REG(0xE0001004)",
    "elapsed": "end - begin",
}
SYSTICK = {
    "start": "REG(0xE000E014) = 0xFFFFFF; REG(0xE000E018) = 0; REG(0xE000E010) = 5;",
    "read": "REG(0xE000E018)",
    "elapsed": "begin - end",
}
M0_TARGET = TARGET.model_copy(update={"name": "m0", "core": "cortex-m0plus", "fpu": "none"})
M7_TARGET = TARGET.model_copy(update={"name": "m7", "core": "cortex-m7"})
# What a window holds beside the interval between two reads: marks, their calls, and the blocks that the reads end.
BESIDE_CYCLES = 60


@pytest.mark.parametrize("counted", [False, True], ids=["plain", "memory counted"])
@pytest.mark.parametrize(
    ("target", "counter", "cpu"),
    [
        (TARGET, DWT, None),
        (M7_TARGET, DWT, None),
        (M0_TARGET, SYSTICK, M0PLUS),
    ],
    ids=["m4 DWT", "m7 DWT", "m0+ SysTick"],
)
def test_the_counter_reads_modelled_cycles(boot, target, counter, cpu, counted):
    elf = c(WORK % {**counter, "rounds": 40}, target=target, **({"cpu": cpu} if cpu else {}))
    model = load_cycle_model(target)
    machine = boot(elf, target, cycles=model.cycles_so_far)
    machine.count_memory(counted)
    cycles, _sum, outside = struct.unpack("<IiI", machine.receive())
    predicted = model.total_cycles(machine.profile()).value
    assert predicted > 5_000
    assert 0 <= predicted - cycles < BESIDE_CYCLES
    assert 0 < outside < BESIDE_CYCLES


def test_the_counter_follows_the_memories_where_they_are_counted(boot):
    target = load_target("nucleo-f446re")
    model = load_cycle_model(target)
    seen = []

    def cycles(counts):
        seen.append(dict(counts))
        return model.cycles_so_far(counts)

    board = TARGET.model_copy(update={"memory_geometry": target.memory_geometry})
    machine = boot(c(WORK % {**DWT, "rounds": 40}), board, cycles=cycles)
    machine.count_memory(True)
    machine.receive()
    whole = 2  # two reads within the window, and one behind it
    assert [counts.get("fetch_lines_branch", 0) > 100 for counts in seen] == [False, True, True]
    assert 40 * 64 <= seen[1]["load_ram"] <= seen[whole]["load_ram"]


def test_without_a_model_a_counter_still_moves_and_delays_end(boot):
    machine = boot(c(WORK % {**DWT, "rounds": 10}))
    cycles, _sum, outside = struct.unpack("<IiI", machine.receive())
    assert cycles > 1000
    assert outside > 0
