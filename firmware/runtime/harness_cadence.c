/* SPDX-License-Identifier: Apache-2.0 */
/* Wake-ups are at multiples of the period since the first one, whatever the windows take: nothing drifts. A window that
 * outlasts its period counts as missed, and the next begins when it ends. No division and no 64-bit product: compilers
 * call functions for them, which would count as the model's. */
#include "harness_cadence.h"

#include "board.h"

#define MILLION 1000000u

static board_timer timer;
static uint64_t now; /* counts since the timer was first read */

static uint64_t read_timer(void) {
  now += (board_timer_count() - (uint32_t)now) & timer.mask;
  return now;
}

static void wait_until(uint64_t moment) {
  const uint32_t farthest = timer.mask / 2u;
  while (read_timer() < moment) {
    uint64_t left = moment - now;
    board_wait(((uint32_t)now + (left > farthest ? farthest : (uint32_t)left)) & timer.mask);
  }
}

/* A span of time in counts, and in millionths of a count what is left of it. */
typedef struct {
  uint64_t counts;
  uint32_t millionths;
} span;

static void carry(span *moment) {
  if (moment->millionths >= MILLION) {
    moment->millionths -= MILLION;
    moment->counts++;
  }
}

static span counts_of(uint32_t microseconds, uint32_t hz) {
  uint32_t whole = 0;
  for (; hz >= MILLION; hz -= MILLION) {
    whole++;
    __asm__("" : "+r"(hz)); /* or this loop becomes a division, too */
  }
  span result = {0, 0};
  for (uint32_t bit = 0x80000000u; bit; bit >>= 1) {
    result.counts <<= 1;
    result.millionths <<= 1;
    if (microseconds & bit) {
      result.counts += whole;
      result.millionths += hz;
    }
    carry(&result);
    carry(&result);
  }
  return result;
}

static span later(span moment, span by) {
  span result = {moment.counts + by.counts, moment.millionths + by.millionths};
  carry(&result);
  return result;
}

static span period, margin, wake_up;
static uint64_t first; /* wake-up */
static uint32_t missed;

uint8_t cadence_begin(uint32_t state, uint32_t period_us, uint32_t margin_us) {
  if (state > BOARD_DEEP_SLEEP || period_us == 0 || margin_us >= period_us) return ERROR_RANGE;
  if (!board_timer_start((enum board_state)state, period_us, &timer)) return ERROR_STATE;
  period = counts_of(period_us, timer.hz);
  margin = counts_of(margin_us, timer.hz);
  now = board_timer_count();
  missed = 0;
  wake_up = later((span){now, 0}, period); /* the first window comes out of a wait, like every other one */
  wait_until(wake_up.counts);
  first = wake_up.counts;
  return 0;
}

void cadence_release(void) {
  const span release = later(wake_up, margin);
  while (now < release.counts) read_timer();
}

void cadence_next(void) {
  wake_up = later(wake_up, period);
  if (read_timer() > wake_up.counts) missed++;
  else wait_until(wake_up.counts);
}

void cadence_end(crest_frame *reply) {
  const uint64_t elapsed = now - first;
  board_timer_stop();
  put_u32(reply, missed);
  put_u32(reply, timer.hz);
  put_u32(reply, (uint32_t)elapsed);
  put_u32(reply, (uint32_t)(elapsed >> 32));
}
