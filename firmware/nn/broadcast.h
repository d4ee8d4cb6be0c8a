/* SPDX-License-Identifier: Apache-2.0 */
/* Walks through two operands that repeat along some axes: one run of the innermost axis after the other. */
#ifndef CREST_BROADCAST_H
#define CREST_BROADCAST_H

#include <stdint.h>

/* Loops are 12 numbers: elements on each of four axes, then the steps of the left operand, then those of the right. */
typedef struct {
  int32_t at[3];
  int32_t left, right; /* where the run begins */
} crest_runs;

static inline int32_t crest_run_length(const int32_t *loops) { return loops[3]; }
static inline int32_t crest_left_step(const int32_t *loops) { return loops[7]; }
static inline int32_t crest_right_step(const int32_t *loops) { return loops[11]; }

/* Goes to the next run; returns 0 behind the last one. */
static inline int32_t crest_next_run(const int32_t *loops, crest_runs *runs) {
  for (int32_t axis = 2; axis >= 0; axis--) {
    runs->left += loops[4 + axis];
    runs->right += loops[8 + axis];
    if (++runs->at[axis] < loops[axis]) return 1;
    runs->left -= loops[axis] * loops[4 + axis];
    runs->right -= loops[axis] * loops[8 + axis];
    runs->at[axis] = 0;
  }
  return 0;
}

#endif
