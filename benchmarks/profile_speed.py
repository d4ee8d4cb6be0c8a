"""What `crest profile` takes for 100 million instructions: CPU time of the whole command except reading and printing.

Two firmwares: one of short functions that call each other all the time, one that sorts by recursion, so that calling
contexts are many. Cortex-M4.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from _figures import options, report
from rich.console import Console
from rich.table import Table

from crest.profiling import ProfileRequest, profile_firmware

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.emulators.firmware import TARGET, c

CALLS = """
static volatile uint32_t sink;
__attribute__((noinline)) static uint32_t leaf(uint32_t x) {
  for (int i = 0; i < 6; i++) __asm__ volatile("add %%0, %%0, #1" : "+r"(x));
  return x;
}
__attribute__((noinline)) static uint32_t middle(uint32_t x) { return leaf(x) ^ leaf(x + 1); }
int main(void) { for (uint32_t i = 0; i < %d; i++) sink = middle(i); return 0; }
"""
SORT = """
static uint32_t values[4096];
__attribute__((noinline)) static void sort(int32_t first, int32_t last) {
  if (first >= last) return;
  const uint32_t pivot = values[(first + last) / 2];
  int32_t low = first, high = last;
  while (low <= high) {
    while (values[low] < pivot) low++;
    while (values[high] > pivot) high--;
    if (low <= high) {
      const uint32_t value = values[low];
      values[low++] = values[high];
      values[high--] = value;
    }
  }
  sort(first, high);
  sort(low, last);
}
int main(void) {
  uint32_t x = %d;
  for (int round = 0; round < %d; round++) {
    for (int i = 0; i < 4096; i++) values[i] = x = x * 1664525u + 1013904223u;
    sort(0, 4095);
  }
  return 0;
}
"""


def main() -> None:
    arguments = options(__doc__ or "")
    scale = 1 if arguments.quick else 10
    firmwares = {
        "calls": c(CALLS % (360_000 * scale), flags=("-g",)),
        "sort": c(SORT % (arguments.seed + 1, 14 * scale), flags=("-g",)),
    }
    figures: dict[str, float | None] = {}
    table = Table("firmware", "instructions", "contexts", "CPU s", "million instructions a second")
    for name, elf in firmwares.items():
        begun = time.process_time()
        found = profile_firmware(ProfileRequest(elf, TARGET))
        seconds = time.process_time() - begun
        mips = found.instructions / seconds / 1e6
        table.add_row(name, f"{found.instructions:,}", str(len(found.paths)), f"{seconds:.2f}", f"{mips:.0f}")
        figures |= {f"{name}_mips": mips, f"{name}_seconds_for_100m": 100 / mips}
    Console().print(table)
    report(figures, arguments.json)


if __name__ == "__main__":
    main()
