/* SPDX-License-Identifier: Apache-2.0 */
/* Inferences at a fixed period, waiting in between. */
#ifndef CREST_CADENCE_H
#define CREST_CADENCE_H

#include "harness_protocol.h"

/* Waits for the first release; 0, or what is wrong (enum frame_error). */
uint8_t cadence_begin(uint32_t state, uint32_t period_us);
void cadence_next(void);               /* behind a window: waits for the next release, if that has not passed */
void cadence_end(crest_frame *reply);  /* appends what the board's timer saw */

#endif
