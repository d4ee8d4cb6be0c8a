/* SPDX-License-Identifier: Apache-2.0 */
/* The work of alu.c without a loop for 64 KiB of code, which no instruction cache of a microcontroller holds. */
#include "alu_step.h"
#include "probe.h"

#define STEPS 8192 /* of four instructions of two bytes */

/* A function of its own: a compiler does not know how long its code is, so nothing may branch across it. */
__attribute__((noinline)) static void straight_on(alu_registers *at) {
#if defined(__arm__)
  alu_registers now = *at;
  __asm__ volatile(
      ".syntax unified\n"
      ".rept 8192\n" ALU_STEP ".endr\n"
      : [a] "+l"(now.a), [b] "+l"(now.b), [c] "+l"(now.c), [d] "+l"(now.d)
      :
      : "cc");
  *at = now;
#else
  for (int i = 0; i < STEPS; i++) alu_step(at);
#endif
}

uint32_t probe_run(uint32_t instructions, uint32_t seed) {
  alu_registers at = alu_begin(seed);
  for (uint32_t round = probe_rounds(instructions, 4 * STEPS); round; round--) straight_on(&at);
  return alu_checksum(&at);
}
