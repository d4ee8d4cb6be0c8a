/* SPDX-License-Identifier: Apache-2.0 */
/* Two multiply-accumulates of 16 bits an instruction (SMLAD), for cores with the DSP extension. */
#include "probe.h"

#define STEPS 16

#if !defined(__arm__)
static uint32_t smlad(uint32_t x, uint32_t y, uint32_t sum) {
  int32_t low = (int16_t)x * (int16_t)y, high = (int16_t)(x >> 16) * (int16_t)(y >> 16);
  return sum + (uint32_t)low + (uint32_t)high;
}
#endif

uint32_t probe_run(uint32_t instructions, uint32_t seed) {
  uint32_t x = seed, y = 0x9E3779B9u, a = 0, b = 0, c = 0, d = 0;
  uint32_t round = probe_rounds(instructions, 4 * STEPS + 4);
#if defined(__arm__)
  __asm__ volatile(
      ".syntax unified\n"
      "1:\n"
      ".rept 16\n"
      "smlad %[a], %[x], %[y], %[a]\n"
      "smlad %[b], %[y], %[y], %[b]\n"
      "smlad %[c], %[x], %[y], %[c]\n"
      "smlad %[d], %[x], %[x], %[d]\n"
      ".endr\n"
      "add %[x], %[x], %[a]\n"
      "eor %[y], %[y], %[d]\n"
      "subs %[round], %[round], #1\n"
      "bne 1b\n"
      : [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d), [x] "+r"(x), [y] "+r"(y), [round] "+r"(round)
      :
      : "cc");
#else
  for (; round; round--) {
    for (int i = 0; i < STEPS; i++) {
      a = smlad(x, y, a);
      b = smlad(y, y, b);
      c = smlad(x, y, c);
      d = smlad(x, x, d);
    }
    x += a;
    y ^= d;
  }
#endif
  return a ^ b ^ c ^ d;
}
