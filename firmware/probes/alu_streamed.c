/* SPDX-License-Identifier: Apache-2.0 */
/* The work of alu.c without a loop for 64 KiB of code, which no instruction cache of a microcontroller holds. */
#include "probe.h"

#define REPEATS 8192 /* of four instructions of two bytes */

typedef struct {
  uint32_t a, b, c, d;
} registers;

/* A function of its own: a compiler does not know how long its code is, so nothing may branch across it. */
__attribute__((noinline)) static void straight_on(registers *at) {
  uint32_t a = at->a, b = at->b, c = at->c, d = at->d;
#if defined(__arm__)
  __asm__ volatile(
      ".syntax unified\n"
      ".rept 8192\n"
      "adds %[a], %[a], %[b]\n"
      "eors %[c], %[d]\n"
      "subs %[b], %[b], %[c]\n"
      "adds %[d], %[d], %[a]\n"
      ".endr\n"
      : [a] "+l"(a), [b] "+l"(b), [c] "+l"(c), [d] "+l"(d)
      :
      : "cc");
#else
  for (int i = 0; i < REPEATS; i++) {
    a += b;
    c ^= d;
    b -= c;
    d += a;
  }
#endif
  *at = (registers){a, b, c, d};
}

uint32_t probe_run(uint32_t instructions, uint32_t seed) {
  registers at = {seed, ~seed, 0x9E3779B9u, 0x7F4A7C15u};
  for (uint32_t round = probe_rounds(instructions, 4 * REPEATS); round; round--) straight_on(&at);
  return at.a ^ at.b ^ at.c ^ at.d;
}
