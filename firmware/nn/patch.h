/* SPDX-License-Identifier: Apache-2.0 */
/* The input elements under one position of a convolution window, as one contiguous vector. */
#ifndef CREST_PATCH_H
#define CREST_PATCH_H

#include <stdint.h>

#include "crest_nn.h"
#include "memory_ops.h"

/* Returns a pointer into the input where the patch lies there contiguously, else gathers it into scratch, which may be written
 * to, like the input read, up to 3 bytes further than the patch is long. */
static inline const int8_t *crest_patch_s8(const crest_window *w, const int8_t *in, int32_t y, int32_t x, int32_t pad_value,
                                           int8_t *scratch) {
  const int32_t top = y * w->stride_h - w->pad_top, left = x * w->stride_w - w->pad_left;
  const int32_t row = w->in_w * w->in_c, taps = w->k_w * w->in_c;
  const int inside = left >= 0 && left + (w->k_w - 1) * w->dilation_w < w->in_w;
  if (inside && w->dilation_w == 1 && w->k_h == 1 && top >= 0 && top < w->in_h) {
    return in + top * row + left * w->in_c;
  }
  int8_t *to = scratch;
  for (int32_t i = 0; i < w->k_h; i++) {
    const int32_t from_y = top + i * w->dilation_h;
    if (from_y < 0 || from_y >= w->in_h) {
      memset(to, pad_value, (uint32_t)taps);
      to += taps;
      continue;
    }
    const int8_t *line = in + from_y * row;
    if (inside && w->dilation_w == 1) {
      crest_copy_over(to, line + left * w->in_c, taps);
      to += taps;
      continue;
    }
    for (int32_t j = 0; j < w->k_w; j++, to += w->in_c) {
      const int32_t from_x = left + j * w->dilation_w;
      if (from_x < 0 || from_x >= w->in_w) {
        memset(to, pad_value, (uint32_t)w->in_c);
      } else {
        crest_copy_over(to, line + from_x * w->in_c, w->in_c);
      }
    }
  }
  return scratch;
}

#endif
