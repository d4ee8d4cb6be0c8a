/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in for the timer of a board that has none yet. */
#include "board.h"

__attribute__((weak)) int board_timer_start(enum board_state state, uint32_t period_us, board_timer *timer) {
  (void)state;
  (void)period_us;
  (void)timer;
  return 0;
}

__attribute__((weak)) uint32_t board_timer_count(void) { return 0; }

__attribute__((weak)) void board_wait(uint32_t count) { (void)count; }

__attribute__((weak)) void board_timer_stop(void) {}
