/* SPDX-License-Identifier: Apache-2.0 */
/* Busy waiting: a counter and a taken branch. */
#include "probe.h"

uint32_t probe_run(uint32_t instructions, uint32_t seed) {
  uint32_t rounds = probe_rounds(instructions, 3), count = seed, end = seed + rounds;
#if defined(__arm__)
  __asm__ volatile(
      ".syntax unified\n"
      "1:\n"
      "adds %[count], %[count], #1\n"
      "cmp %[count], %[end]\n"
      "bne 1b\n"
      : [count] "+l"(count)
      : [end] "l"(end)
      : "cc");
#else
  count = end;
#endif
  return count;
}
