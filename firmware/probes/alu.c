/* SPDX-License-Identifier: Apache-2.0 */
/* Additions, subtractions and exclusive ors on registers, in pairs that a core can issue together. */
#include "probe.h"

#define REPEATS 16

uint32_t probe_run(uint32_t instructions, uint32_t seed) {
  uint32_t a = seed, b = ~seed, c = 0x9E3779B9u, d = 0x7F4A7C15u;
  uint32_t round = probe_rounds(instructions, 4 * REPEATS + 2);
#if defined(__arm__)
  __asm__ volatile(
      ".syntax unified\n"
      "1:\n"
      ".rept 16\n"
      "adds %[a], %[a], %[b]\n"
      "eors %[c], %[d]\n"
      "subs %[b], %[b], %[c]\n"
      "adds %[d], %[d], %[a]\n"
      ".endr\n"
      "subs %[round], %[round], #1\n"
      "bne 1b\n"
      : [a] "+l"(a), [b] "+l"(b), [c] "+l"(c), [d] "+l"(d), [round] "+l"(round)
      :
      : "cc");
#else
  for (; round; round--) {
    for (int i = 0; i < REPEATS; i++) {
      a += b;
      c ^= d;
      b -= c;
      d += a;
    }
  }
#endif
  return a ^ b ^ c ^ d;
}
