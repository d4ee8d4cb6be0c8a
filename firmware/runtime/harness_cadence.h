/* SPDX-License-Identifier: Apache-2.0 */
/* Inferences at a fixed period, waiting in between. */
#ifndef CREST_CADENCE_H
#define CREST_CADENCE_H

#include "harness_protocol.h"

/* FRAME_CADENCE: the request becomes the reply. */
void cadence_answer(crest_frame *frame);

#endif
