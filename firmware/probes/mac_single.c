/* SPDX-License-Identifier: Apache-2.0 */
/* One multiply-accumulate in two instructions (MULS, ADDS): all that a Cortex-M0+ has. */
#include "probe.h"

#define STEPS 16

uint32_t probe_run(uint32_t instructions, uint32_t seed) {
  uint32_t x = seed | 1, y = 0x9E3779B9u, z = 0x7F4A7C15u, a = 0, b = 0;
  uint32_t round = probe_rounds(instructions, 4 * STEPS + 2);
#if defined(__arm__)
  __asm__ volatile(
      ".syntax unified\n"
      "1:\n"
      ".rept 16\n"
      "muls %[y], %[x]\n"
      "adds %[a], %[a], %[y]\n"
      "muls %[z], %[x]\n"
      "adds %[b], %[b], %[z]\n"
      ".endr\n"
      "subs %[round], %[round], #1\n"
      "bne 1b\n"
      : [a] "+l"(a), [b] "+l"(b), [y] "+l"(y), [z] "+l"(z), [round] "+l"(round)
      : [x] "l"(x)
      : "cc");
#else
  for (; round; round--) {
    for (int i = 0; i < STEPS; i++) {
      y *= x;
      a += y;
      z *= x;
      b += z;
    }
  }
#endif
  return a ^ b;
}
