/* SPDX-License-Identifier: Apache-2.0 */
/* Reset of any Cortex-M: vectors, memory, FPU. */
#include <stdint.h>

#include "board.h"

extern uint32_t crest_stack_top, crest_data_start, crest_data_end, crest_data_load, crest_bss_start, crest_bss_end;

void harness_main(void);
void Reset_Handler(void);

/* A fault stops here; the emulator and a debugger see the symbol. */
__attribute__((noinline, used)) void crest_fault(void) {
  for (;;) {
    __asm__ volatile("bkpt 0");
  }
}

__attribute__((section(".vectors"), used)) const void *const crest_vectors[16] = {
    &crest_stack_top, (void *)Reset_Handler, (void *)crest_fault, (void *)crest_fault,
    (void *)crest_fault, (void *)crest_fault, (void *)crest_fault, 0,
    0, 0, 0, (void *)crest_fault,
    (void *)crest_fault, 0, (void *)crest_fault, (void *)crest_fault,
};

#define SCB_VTOR (*(volatile uint32_t *)0xE000ED08u)
#define SCB_CPACR (*(volatile uint32_t *)0xE000ED88u)

__attribute__((used)) void Reset_Handler(void) {
  SCB_VTOR = (uint32_t)crest_vectors;
#if defined(__ARM_FP)
  SCB_CPACR |= 0xFu << 20; /* full access to CP10 and CP11 */
  __asm__ volatile("dsb\n isb" ::: "memory");
#endif
  uint32_t *to = &crest_data_start;
  for (const uint32_t *from = &crest_data_load; to < &crest_data_end;) *to++ = *from++;
  for (to = &crest_bss_start; to < &crest_bss_end;) *to++ = 0;
  board_init();
  harness_main();
  crest_fault();
}
