/* SPDX-License-Identifier: Apache-2.0 */
/* What every board folder provides. */
#ifndef CREST_BOARD_H
#define CREST_BOARD_H

#include <stdint.h>

void board_init(void);
uint8_t board_read_byte(void); /* waits for one byte from the host */
void board_write(const uint8_t *data, uint32_t bytes);
uint32_t board_clock_hz(void);

/* States in which the core waits between two inferences; the numbers travel in the protocol. */
enum board_state { BOARD_SLEEP = 0, BOARD_DEEP_SLEEP = 1 };

/* A counter that counts up, from its highest count `mask` on to 0; it goes on in its state, and ends a wait in it. */
typedef struct {
  uint32_t hz, mask;
} board_timer;

/* A board that leaves these four out has no cadenced mode. */
/* Starts it for waits of up to `period_us`; 0: the board cannot wait in that state. */
int board_timer_start(enum board_state state, uint32_t period_us, board_timer *timer);
uint32_t board_timer_count(void);
void board_wait(uint32_t count); /* waits in that state until the counter is at `count`; may return early */
void board_timer_stop(void);     /* all is again as board_init left it */

#endif
