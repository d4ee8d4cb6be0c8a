/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting on the RP2040. The timer counts microseconds of the crystal, in every state. Registers: RP2040 datasheet,
 * chapters Timer, Watchdog (its tick), Clocks (SLEEP_EN).
 *
 * Sleep: the core stops, all clocks run. Deep sleep: the system clock comes from the crystal, the PLL is off, and nothing
 * but the timer is clocked. The second core waits in deep sleep since its boot ROM, which that state needs. */
#include "board.h"
#include "rp2040.h"
#include "wait.h"

#define CLK_SLEEP_EN0 REGISTER(0x400080A8u)
#define CLK_SLEEP_EN1 REGISTER(0x400080ACu)
#define SLEEP_EN1_TIMER (1u << 5)
#define SLEEP_EN0_ALL 0xFFFFFFFFu
#define SLEEP_EN1_ALL 0x7FFFu

#define WATCHDOG_TICK REGISTER(0x4005802Cu)
#define TICK_ENABLE (1u << 9)
#define CRYSTAL_CYCLES 12u

#define TIMER_ALARM0 REGISTER(0x40054010u)
#define TIMER_ARMED REGISTER(0x40054020u)
#define TIMER_RAW_LOW REGISTER(0x40054028u)
#define TIMER_INTR REGISTER(0x40054034u)
#define TIMER_INTE REGISTER(0x40054038u)
#define ALARM0 (1u << 0)
#define TIMER_INTERRUPT 0u
#define MASK 0xFFFFFFFFu

static int deep;

int board_timer_start(enum board_state state, uint32_t period_us, board_timer *timer) {
  (void)period_us; /* the range of its timers is minutes */
  deep = state == BOARD_DEEP_SLEEP;
  WATCHDOG_TICK = TICK_ENABLE | CRYSTAL_CYCLES;
  rp2040_release(RESET_TIMER);
  CLK_SLEEP_EN0 = deep ? 0u : SLEEP_EN0_ALL;
  CLK_SLEEP_EN1 = deep ? SLEEP_EN1_TIMER : SLEEP_EN1_ALL;
  TIMER_INTE = ALARM0;
  set_interrupt(TIMER_INTERRUPT, NVIC_ENABLE);
  timer->hz = 1000000u;
  timer->mask = MASK;
  return 1;
}

uint32_t board_timer_count(void) { return TIMER_RAW_LOW; }

static void clear_alarm(void) {
  TIMER_INTR = ALARM0;
  set_interrupt(TIMER_INTERRUPT, NVIC_CLEAR_PENDING);
}

void board_wait(uint32_t count) {
  clear_alarm();
  TIMER_ALARM0 = count;
  if (has_passed(count, TIMER_RAW_LOW, MASK)) return;
  if (deep) {
    rp2040_leave_pll();
    PLL_SYS_PWR = PLL_PWR_OFF;
  }
  wait_for_interrupt(deep);
  if (deep) rp2040_start_pll();
  clear_alarm();
}

void board_timer_stop(void) {
  set_interrupt(TIMER_INTERRUPT, NVIC_DISABLE);
  TIMER_INTE = 0;
  TIMER_ARMED = ALARM0;
  CLK_SLEEP_EN0 = SLEEP_EN0_ALL;
  CLK_SLEEP_EN1 = SLEEP_EN1_ALL;
}
