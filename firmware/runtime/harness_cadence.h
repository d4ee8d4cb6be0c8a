/* SPDX-License-Identifier: Apache-2.0 */
/* Inferences at a fixed period, waiting in between. */
#ifndef CREST_CADENCE_H
#define CREST_CADENCE_H

#include "harness_protocol.h"

/* Waits for the first wake-up; 0, or what is wrong (enum frame_error). The board is woken up every period, and releases a
 * window `margin_us` later. */
uint8_t cadence_begin(uint32_t state, uint32_t period_us, uint32_t margin_us);
void cadence_release(void);           /* before a window: stays awake until its release */
void cadence_next(void);              /* behind a window: waits for the next wake-up, if that has not passed */
void cadence_end(crest_frame *reply); /* appends what the board's timer saw */

#endif
