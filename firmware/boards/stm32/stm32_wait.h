/* SPDX-License-Identifier: Apache-2.0 */
/* What a board says of the timers that end its waits. */
#ifndef CREST_STM32_WAIT_H
#define CREST_STM32_WAIT_H

#include <stdint.h>

typedef struct {
  uint32_t base, enable_register, enable_bit, interrupt, hz;
} stm32_timer;

#define TIM2 0x40000000u
#define LSE_HZ 32768u

extern const stm32_timer stm32_sleep_timer; /* TIM2 */

/* Stop mode with LPTIM1 on the crystal. A board without these two has no deep sleep. */
const stm32_timer *stm32_prepare_stop(void); /* starts the crystal, and chooses the mode; 0: there is none */
void stm32_leave_stop(void);                 /* from the oscillator that the core wakes on to the board's clock */

/* A value must lie that many counts ahead, or it may be missed on its way. */
#define LPTIM_AHEAD 4u
#define LPTIM_MASK 0xFFFFu

uint32_t stm32_lptim_start(uint32_t lptim, uint32_t period_us); /* Hz of its counter */
uint32_t stm32_lptim_count(uint32_t lptim);
void stm32_lptim_clear(uint32_t lptim);
void stm32_lptim_compare(uint32_t lptim, uint32_t count);
void stm32_lptim_stop(uint32_t lptim);

#endif
