/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting on the nRF52840, whose SysTick stands while the core does. Registers: nRF52840 product specification, chapters
 * CLOCK, POWER, TIMER, RTC.
 *
 * Sleep: TIMER0 counts the 16 MHz of the high-frequency clock, which constant latency keeps running.
 * Deep sleep: RTC2 counts the 32.768 kHz crystal; nothing asks for the high-frequency clock, so it stops with the core.
 * It comes back as the internal oscillator: the crystal is started again when the last window is done. */
#include "board.h"
#include "wait.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))

#define CLOCK_TASKS_HFCLKSTART REGISTER(0x40000000u)
#define CLOCK_TASKS_HFCLKSTOP REGISTER(0x40000004u)
#define CLOCK_TASKS_LFCLKSTART REGISTER(0x40000008u)
#define CLOCK_EVENTS_HFCLKSTARTED REGISTER(0x40000100u)
#define CLOCK_EVENTS_LFCLKSTARTED REGISTER(0x40000104u)
#define CLOCK_LFCLKSRC REGISTER(0x40000518u)
#define LFCLKSRC_CRYSTAL 1u
#define POWER_TASKS_CONSTLAT REGISTER(0x40000078u)
#define POWER_TASKS_LOWPWR REGISTER(0x4000007Cu)
#define UARTE_ENABLE REGISTER(0x40002500u)
#define UARTE_ON 8u

#define TIMER0 0x40008000u
#define TIMER0_INTERRUPT 8u
#define RTC2 0x40024000u
#define RTC2_INTERRUPT 36u

#define TASKS_START 0x000u
#define TASKS_STOP 0x004u
#define TIMER_TASKS_CAPTURE1 0x044u
#define EVENTS_COMPARE0 0x140u
#define INTENSET 0x304u
#define INTENCLR 0x308u
#define INT_COMPARE0 (1u << 16)
#define RTC_COUNTER 0x504u
#define TIMER_BITMODE 0x508u
#define TIMER_PRESCALER 0x510u
#define CC0 0x540u
#define CC1 0x544u
#define BITMODE_32 3u

#define RTC_AHEAD 2u /* a value less than two counts ahead may not be met */

static int deep;
static uint32_t base, interrupt, mask;

static void stop_high_frequency_crystal(void) {
  UARTE_ENABLE = 0;
  CLOCK_TASKS_HFCLKSTOP = 1;
}

static void start_high_frequency_crystal(void) {
  CLOCK_EVENTS_HFCLKSTARTED = 0;
  CLOCK_TASKS_HFCLKSTART = 1;
  while (!CLOCK_EVENTS_HFCLKSTARTED) {
  }
  UARTE_ENABLE = UARTE_ON;
}

int board_timer_start(enum board_state state, uint32_t period_us, board_timer *timer) {
  (void)period_us; /* the range of its timers is minutes */
  deep = state == BOARD_DEEP_SLEEP;
  base = deep ? RTC2 : TIMER0;
  interrupt = deep ? RTC2_INTERRUPT : TIMER0_INTERRUPT;
  mask = deep ? 0xFFFFFFu : 0xFFFFFFFFu;
  if (deep) {
    CLOCK_LFCLKSRC = LFCLKSRC_CRYSTAL;
    CLOCK_TASKS_LFCLKSTART = 1;
    while (!CLOCK_EVENTS_LFCLKSTARTED) {
    }
    stop_high_frequency_crystal();
  } else {
    POWER_TASKS_CONSTLAT = 1;
    REGISTER(TIMER0 + TIMER_BITMODE) = BITMODE_32;
    REGISTER(TIMER0 + TIMER_PRESCALER) = 0;
  }
  REGISTER(base + INTENSET) = INT_COMPARE0;
  REGISTER(base + TASKS_START) = 1;
  set_interrupt(interrupt, NVIC_ENABLE);
  timer->hz = deep ? 32768u : 16000000u;
  timer->mask = mask;
  return 1;
}

uint32_t board_timer_count(void) {
  if (deep) return REGISTER(RTC2 + RTC_COUNTER);
  REGISTER(TIMER0 + TIMER_TASKS_CAPTURE1) = 1;
  return REGISTER(TIMER0 + CC1);
}

static void clear_event(void) {
  REGISTER(base + EVENTS_COMPARE0) = 0;
  (void)REGISTER(base + EVENTS_COMPARE0);
  set_interrupt(interrupt, NVIC_CLEAR_PENDING);
}

void board_wait(uint32_t count) {
  clear_event();
  REGISTER(base + CC0) = count;
  if (has_passed(count, (board_timer_count() + (deep ? RTC_AHEAD : 0u)) & mask, mask)) return;
  wait_for_interrupt(deep);
  clear_event();
}

void board_timer_stop(void) {
  set_interrupt(interrupt, NVIC_DISABLE);
  REGISTER(base + INTENCLR) = INT_COMPARE0;
  REGISTER(base + TASKS_STOP) = 1;
  if (deep) start_high_frequency_crystal();
  else POWER_TASKS_LOWPWR = 1;
}
