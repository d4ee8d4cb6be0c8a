/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for an interrupt that is never taken: with interrupts masked, one that pends ends WFI and nothing else. */
#ifndef CREST_WAIT_H
#define CREST_WAIT_H

#include <stdint.h>

#define NVIC_REGISTER(bank, interrupt) (*(volatile uint32_t *)(0xE000E100u + 0x80u * (bank) + 4u * ((interrupt) / 32u)))
#define SCB_SCR (*(volatile uint32_t *)0xE000ED10u)
#define SCR_SLEEPDEEP (1u << 2)

enum { NVIC_ENABLE = 0, NVIC_DISABLE = 1, NVIC_CLEAR_PENDING = 3 };

static inline void set_interrupt(uint32_t interrupt, uint32_t bank) {
  __asm__ volatile("dsb" ::: "memory"); /* what the peripheral was told has reached it */
  NVIC_REGISTER(bank, interrupt) = 1u << (interrupt % 32u);
}

static inline void wait_for_interrupt(int deep) {
  SCB_SCR = deep ? SCR_SLEEPDEEP : 0u;
  __asm__ volatile("cpsid i\n dsb\n wfi\n isb" ::: "memory");
  SCB_SCR = 0;
}

/* Whether a counter that wraps after `mask` has come to `count`, which lies at most half a round ahead of it. */
static inline int has_passed(uint32_t count, uint32_t counter, uint32_t mask) {
  return ((count - counter - 1u) & mask) > mask / 2u;
}

#endif
