/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic on registers. */
#include "alu_step.h"
#include "probe.h"

#define STEPS 16

uint32_t probe_run(uint32_t instructions, uint32_t seed) {
  alu_registers at = alu_begin(seed);
  uint32_t round = probe_rounds(instructions, 4 * STEPS + 2);
#if defined(__arm__)
  __asm__ volatile(
      ".syntax unified\n"
      "1:\n"
      ".rept 16\n" ALU_STEP ".endr\n"
      "subs %[round], %[round], #1\n"
      "bne 1b\n"
      : [a] "+l"(at.a), [b] "+l"(at.b), [c] "+l"(at.c), [d] "+l"(at.d), [round] "+l"(round)
      :
      : "cc");
#else
  for (; round; round--) {
    for (int i = 0; i < STEPS; i++) alu_step(&at);
  }
#endif
  return alu_checksum(&at);
}
