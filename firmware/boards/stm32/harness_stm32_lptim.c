/* SPDX-License-Identifier: Apache-2.0 */
/* LPTIM1 on the 32.768 kHz crystal, which counts on in Stop mode. Registers: RM0432 and RM0444, chapter LPTIM. It has a
 * clock of its own: what is written to it arrives some counts later, and its counter is only true when read twice. */
#include "board.h"
#include "stm32.h"
#include "stm32_wait.h"

#define WEAK __attribute__((weak)) /* a board may have another timer */
#define MASK 0xFFFFu

#define ISR 0x00u
#define ICR 0x04u
#define IER 0x08u
#define CFGR 0x0Cu
#define CR 0x10u
#define CMP 0x14u
#define ARR 0x18u
#define CNT 0x1Cu

#define CMPM (1u << 0)
#define CMPOK (1u << 3)
#define ARROK (1u << 4)
#define CR_ENABLE (1u << 0)
#define CR_CNTSTRT (1u << 2)
#define CFGR_PRESC_SHIFT 9u
#define CFGR_PRESC_MAX 7u        /* divided by 128 */
#define HALF_A_ROUND_US 1000000u /* when it is not divided */

static int comparator_is_busy;

/* The clock is divided so far that a period is half a round at most: or every round would cost a wake-up. */
WEAK void stm32_stop_timer_start(uint32_t lptim, uint32_t period_us, board_timer *timer) {
  uint32_t prescaler = 0;
  while (prescaler < CFGR_PRESC_MAX && period_us > HALF_A_ROUND_US << prescaler) prescaler++;
  REGISTER(lptim + CR) = 0;
  REGISTER(lptim + CFGR) = prescaler << CFGR_PRESC_SHIFT;
  REGISTER(lptim + IER) = CMPM; /* only while it is disabled */
  REGISTER(lptim + CR) = CR_ENABLE;
  REGISTER(lptim + ICR) = CMPM | CMPOK | ARROK;
  REGISTER(lptim + ARR) = MASK; /* only while it is enabled */
  wait_for(lptim + ISR, ARROK, ARROK);
  REGISTER(lptim + CR) = CR_ENABLE | CR_CNTSTRT;
  comparator_is_busy = 0;
  timer->hz = LSE_HZ >> prescaler;
  timer->mask = MASK;
}

WEAK uint32_t stm32_stop_timer_count(uint32_t lptim) {
  uint32_t count = REGISTER(lptim + CNT), again;
  while ((again = REGISTER(lptim + CNT)) != count) count = again;
  return count;
}

WEAK void stm32_stop_timer_clear(uint32_t lptim) {
  REGISTER(lptim + ICR) = CMPM;
  (void)REGISTER(lptim + ISR);
}

WEAK void stm32_stop_timer_compare(uint32_t lptim, uint32_t count) {
  if (comparator_is_busy) wait_for(lptim + ISR, CMPOK, CMPOK); /* with the value before: it has long arrived */
  REGISTER(lptim + ICR) = CMPOK;
  REGISTER(lptim + CMP) = count;
  comparator_is_busy = 1;
}

WEAK void stm32_stop_timer_stop(uint32_t lptim) { REGISTER(lptim + CR) = 0; }
