/* SPDX-License-Identifier: Apache-2.0 */
/* Level 1 caches of a Cortex-M7: Arm DDI 0403, chapter B2.2 (cache maintenance operations). */
#include "stm32.h"

#define CCR 0xE000ED14u
#define CCSIDR 0xE000ED80u
#define CSSELR 0xE000ED84u
#define ICIALLU 0xE000EF50u
#define DCISW 0xE000EF60u

#define CCR_DC (1u << 16)
#define CCR_IC (1u << 17)
#define LINE_SHIFT 5u
#define WAY_SHIFT 30u

static inline void barrier(void) { __asm__ volatile("dsb\n isb" ::: "memory"); }

void cortex_m7_enable_caches(void) {
  if (!(REGISTER(CCR) & CCR_IC)) { /* after reset its content is anything */
    barrier();
    REGISTER(ICIALLU) = 0;
    barrier();
    REGISTER(CCR) |= CCR_IC;
    barrier();
  }
  if (!(REGISTER(CCR) & CCR_DC)) { /* one that is on holds data */
    REGISTER(CSSELR) = 0;
    barrier();
    uint32_t size = REGISTER(CCSIDR), sets = (size >> 13) & 0x7FFFu, ways = (size >> 3) & 0x3FFu;
    for (uint32_t set = 0; set <= sets; set++) {
      for (uint32_t way = 0; way <= ways; way++) REGISTER(DCISW) = set << LINE_SHIFT | way << WAY_SHIFT;
    }
    barrier();
    REGISTER(CCR) |= CCR_DC;
    barrier();
  }
}
