/* SPDX-License-Identifier: Apache-2.0 */
/* What a board says of the timers that end its waits. */
#ifndef CREST_STM32_WAIT_H
#define CREST_STM32_WAIT_H

#include <stdint.h>

#include "board.h"
#include "stm32.h"

typedef struct {
  uint32_t base, enable_register, enable_bit, interrupt, hz;
} stm32_timer;

#define TIM2 0x40000000u
#define LSE_HZ 32768u

extern const stm32_timer stm32_sleep_timer; /* TIM2 */

/* Stop mode with a timer on the crystal. A board without these two has no deep sleep. */
const stm32_timer *stm32_prepare_stop(void); /* starts the crystal, and chooses the mode; 0: there is none */
void stm32_leave_stop(void);                 /* from the oscillator that the core wakes on to the board's clock */

/* Lets the backup domain be written, and starts the crystal in it; the bits are the same on all of them. */
static inline void stm32_start_lse(uint32_t pwr_control, uint32_t rcc_bdcr) {
  const uint32_t dbp = 1u << 8, lseon = 1u << 0, lserdy = 1u << 1;
  set_bits(pwr_control, dbp);
  set_bits(rcc_bdcr, lseon);
  wait_for(rcc_bdcr, lserdy, lserdy);
}

/* That timer by its base: LPTIM1, unless a board has its own. A value must lie some counts ahead, or it may be missed on
 * its way. */
#define STOP_TIMER_AHEAD 4u

void stm32_stop_timer_start(uint32_t base, uint32_t period_us, board_timer *timer);
uint32_t stm32_stop_timer_count(uint32_t base);
void stm32_stop_timer_clear(uint32_t base);
void stm32_stop_timer_compare(uint32_t base, uint32_t count);
void stm32_stop_timer_stop(uint32_t base);

#endif
