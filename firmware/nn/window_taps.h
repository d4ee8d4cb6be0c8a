/* SPDX-License-Identifier: Apache-2.0 */
/* The taps of a window that lie within the input: where padding counts as nothing, the others are left out. */
#ifndef CREST_WINDOW_TAPS_H
#define CREST_WINDOW_TAPS_H

#include <stdint.h>

#include "crest_nn.h"

/* Taps first to last - 1 along each axis, and the input element under tap 0, 0, which may lie outside. */
typedef struct {
  int32_t top, left;
  int32_t first_row, last_row, first_column, last_column;
} crest_taps;

static inline void crest_taps_within(int32_t start, int32_t step, int32_t size, int32_t *first, int32_t *last) {
  while (*first < *last && start + *first * step < 0) ++*first;
  while (*first < *last && start + (*last - 1) * step >= size) --*last;
}

static inline crest_taps crest_taps_at(const crest_window *w, int32_t y, int32_t x) {
  crest_taps t = {y * w->stride_h - w->pad_top, x * w->stride_w - w->pad_left, 0, w->k_h, 0, w->k_w};
  crest_taps_within(t.top, w->dilation_h, w->in_h, &t.first_row, &t.last_row);
  crest_taps_within(t.left, w->dilation_w, w->in_w, &t.first_column, &t.last_column);
  return t;
}

/* Index of the input element under a tap, at channel 0. */
static inline int32_t crest_tap_index(const crest_window *w, const crest_taps *t, int32_t row, int32_t column) {
  return ((t->top + row * w->dilation_h) * w->in_w + t->left + column * w->dilation_w) * w->in_c;
}

#endif
