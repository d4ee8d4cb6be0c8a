/* SPDX-License-Identifier: Apache-2.0 */
/* Memory protection and level 1 caches of a Cortex-M7: Arm DDI 0403, chapters B3.5 (MPU) and B2.2 (cache maintenance). */
#include "stm32.h"

#define CCR 0xE000ED14u
#define CCSIDR 0xE000ED80u
#define CSSELR 0xE000ED84u
#define MPU_TYPE 0xE000ED90u
#define MPU_CTRL 0xE000ED94u
#define MPU_RNR 0xE000ED98u
#define MPU_RBAR 0xE000ED9Cu
#define MPU_RASR 0xE000EDA0u
#define ICIALLU 0xE000EF50u
#define DCISW 0xE000EF60u

#define CCR_DC (1u << 16)
#define CCR_IC (1u << 17)
#define CTRL_ENABLE (1u << 0)
#define CTRL_PRIVDEFENA (1u << 2) /* where no region says otherwise, the default map holds */
#define RASR_ENABLE (1u << 0)
#define RASR_4_GB (31u << 1)
#define RASR_WITHOUT(eighths) ((eighths) << 8)
#define RASR_SHAREABLE (1u << 18) /* strongly ordered, no access */
#define RASR_XN (1u << 28)
#define LINE_SHIFT 5u
#define WAY_SHIFT 30u

static inline void barrier(void) { __asm__ volatile("dsb\n isb" ::: "memory"); }

/* The core reads ahead, by default from external memory, too: there is none, from 0x60000000 to 0xE0000000. */
static void forbid_external_memory(void) {
  barrier();
  REGISTER(MPU_CTRL) = 0;
  for (uint32_t region = 1; region < (REGISTER(MPU_TYPE) >> 8 & 0xFFu); region++) { /* those of a bootloader */
    REGISTER(MPU_RNR) = region;
    REGISTER(MPU_RASR) = 0;
  }
  REGISTER(MPU_RNR) = 0;
  REGISTER(MPU_RBAR) = 0;
  REGISTER(MPU_RASR) = RASR_XN | RASR_SHAREABLE | RASR_WITHOUT(0x87u) | RASR_4_GB | RASR_ENABLE;
  REGISTER(MPU_CTRL) = CTRL_PRIVDEFENA | CTRL_ENABLE;
  barrier();
}

void cortex_m7_enable_caches(void) {
  forbid_external_memory();
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
