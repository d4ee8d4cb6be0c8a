/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting on an STM32. Sleep: TIM2 counts its bus clock, which runs on. Deep sleep: a timer on the crystal ends Stop mode.
 * Registers: RM0432, RM0390, RM0385, RM0444, RM0455, RM0399, chapter TIM2; their places are the same on all of them. */
#include "board.h"
#include "stm32.h"
#include "stm32_wait.h"
#include "wait.h"

#define CR1 0x00u
#define DIER 0x0Cu
#define SR 0x10u
#define CNT 0x24u
#define CCR1 0x34u

#define CR1_CEN (1u << 0)
#define CC1 (1u << 1)

static const stm32_timer *used;
static uint32_t mask;
static int deep;

__attribute__((weak)) const stm32_timer *stm32_prepare_stop(void) { return 0; }

__attribute__((weak)) void stm32_leave_stop(void) {}

static void tim2_start(board_timer *timer) {
  REGISTER(TIM2 + DIER) = CC1;
  REGISTER(TIM2 + CR1) = CR1_CEN;
  timer->hz = used->hz;
  timer->mask = 0xFFFFFFFFu;
}

int board_timer_start(enum board_state state, uint32_t period_us, board_timer *timer) {
  deep = state == BOARD_DEEP_SLEEP;
  used = deep ? stm32_prepare_stop() : &stm32_sleep_timer;
  if (!used) return 0;
  set_bits(used->enable_register, used->enable_bit);
  if (deep) stm32_stop_timer_start(used->base, period_us, timer);
  else tim2_start(timer);
  mask = timer->mask;
  set_interrupt(used->interrupt, NVIC_ENABLE);
  return 1;
}

uint32_t board_timer_count(void) { return deep ? stm32_stop_timer_count(used->base) : REGISTER(TIM2 + CNT); }

static void clear_flag(void) {
  if (deep) stm32_stop_timer_clear(used->base);
  else REGISTER(TIM2 + SR) = ~CC1;
  set_interrupt(used->interrupt, NVIC_CLEAR_PENDING);
}

void board_wait(uint32_t count) {
  if (deep && has_passed(count, (board_timer_count() + STOP_TIMER_AHEAD) & mask, mask)) return;
  clear_flag();
  if (deep) stm32_stop_timer_compare(used->base, count);
  else REGISTER(TIM2 + CCR1) = count;
  if (has_passed(count, board_timer_count(), mask)) return;
  wait_for_interrupt(deep);
  if (deep) stm32_leave_stop();
  clear_flag();
}

void board_timer_stop(void) {
  set_interrupt(used->interrupt, NVIC_DISABLE);
  if (deep) {
    stm32_stop_timer_stop(used->base);
  } else {
    REGISTER(TIM2 + CR1) = 0;
    REGISTER(TIM2 + DIER) = 0;
  }
}
