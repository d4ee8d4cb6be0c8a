/* SPDX-License-Identifier: Apache-2.0 */
/* Multiplications, additions and subtractions in single precision, each rounded: two points that go round in a circle. */
#include "probe.h"

#define STEPS 8

uint32_t probe_run(uint32_t instructions, uint32_t seed) {
  float x = 1.0f + (float)(seed & 0xFFFF) / 65536.0f, y = 0.0f, u = 0.0f, v = 2.0f, step = 0.171875f;
  uint32_t round = probe_rounds(instructions, 8 * STEPS + 2);
#if defined(__arm__)
  float s, t;
  __asm__ volatile(
      ".syntax unified\n"
      "1:\n"
      ".rept 8\n"
      "vmul.f32 %[s], %[y], %[step]\n"
      "vmul.f32 %[t], %[v], %[step]\n"
      "vsub.f32 %[x], %[x], %[s]\n"
      "vsub.f32 %[u], %[u], %[t]\n"
      "vmul.f32 %[s], %[x], %[step]\n"
      "vmul.f32 %[t], %[u], %[step]\n"
      "vadd.f32 %[y], %[y], %[s]\n"
      "vadd.f32 %[v], %[v], %[t]\n"
      ".endr\n"
      "subs %[round], %[round], #1\n"
      "bne 1b\n"
      : [s] "=&t"(s), [t] "=&t"(t), [x] "+t"(x), [y] "+t"(y), [u] "+t"(u), [v] "+t"(v), [round] "+r"(round)
      : [step] "t"(step)
      : "cc");
#else
  for (; round; round--) {
    for (int i = 0; i < STEPS; i++) {
      x -= y * step;
      u -= v * step;
      y += x * step;
      v += u * step;
    }
  }
#endif
  union {
    float value[4];
    uint32_t bits[4];
  } all = {{x, y, u, v}};
  return all.bits[0] ^ all.bits[1] ^ all.bits[2] ^ all.bits[3];
}
