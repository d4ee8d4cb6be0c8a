/* SPDX-License-Identifier: Apache-2.0 */
/* Reset of any Cortex-M: vectors, memory, FPU. */
#include <stdint.h>

#include "board.h"

/* A part that is stored in flash and lies elsewhere; the table is the linker script's. */
typedef struct {
  const uint32_t *from;
  uint32_t *to;
  uint32_t bytes;
} crest_copy;

extern const crest_copy crest_copies_start[], crest_copies_end[];
extern uint32_t crest_stack_top, crest_bss_start, crest_bss_end;

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
  for (const crest_copy *copy = crest_copies_start; copy < crest_copies_end; copy++) {
    /* Not a call of memcpy, which may be among what is copied. */
    volatile uint32_t *to = copy->to;
    for (uint32_t i = 0; i < copy->bytes / 4; i++) to[i] = copy->from[i];
  }
  for (volatile uint32_t *to = &crest_bss_start; to < &crest_bss_end;) *to++ = 0;
  __asm__ volatile("dsb\n isb" ::: "memory"); /* code may have been copied */
  board_init();
  harness_main();
  crest_fault();
}
