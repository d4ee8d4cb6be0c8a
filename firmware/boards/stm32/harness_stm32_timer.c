/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting on an STM32. Sleep: TIM2 counts its bus clock, which runs on. Registers: RM0432, RM0390, RM0385, RM0444, RM0455,
 * RM0399, chapters TIM2 and RCC; where they lie is the same on all of them. */
#include "board.h"
#include "stm32.h"
#include "wait.h"

#define TIM2 0x40000000u
#define CR1 0x00u
#define DIER 0x0Cu
#define SR 0x10u
#define CNT 0x24u
#define CCR1 0x34u

#define CR1_CEN (1u << 0)
#define CC1 (1u << 1)
#define MASK 0xFFFFFFFFu

int board_timer_start(enum board_state state, board_timer *timer) {
  if (state != BOARD_SLEEP) return 0;
  set_bits(stm32_tim2.enable_register, stm32_tim2.enable_bit);
  REGISTER(TIM2 + DIER) = CC1;
  REGISTER(TIM2 + CR1) = CR1_CEN;
  set_interrupt(stm32_tim2.interrupt, NVIC_ENABLE);
  timer->hz = stm32_tim2.hz;
  timer->mask = MASK;
  return 1;
}

uint32_t board_timer_count(void) { return REGISTER(TIM2 + CNT); }

static void clear_flag(void) {
  REGISTER(TIM2 + SR) = ~CC1;
  set_interrupt(stm32_tim2.interrupt, NVIC_CLEAR_PENDING);
}

void board_wait(uint32_t count) {
  clear_flag();
  REGISTER(TIM2 + CCR1) = count;
  if (has_passed(count, board_timer_count(), MASK)) return;
  wait_for_interrupt(0);
  clear_flag();
}

void board_timer_stop(void) {
  set_interrupt(stm32_tim2.interrupt, NVIC_DISABLE);
  REGISTER(TIM2 + CR1) = 0;
  REGISTER(TIM2 + DIER) = 0;
}
