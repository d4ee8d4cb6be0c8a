/* SPDX-License-Identifier: Apache-2.0 */
#include "crest_nn.h"
#include "requantise.h"

/* First and last tap + 1 of a window along one axis, padding left out. */
static void taps(int32_t start, int32_t size, int32_t kernel, int32_t *first, int32_t *last) {
  *first = start < 0 ? -start : 0;
  *last = start + kernel > size ? size - start : kernel;
}

void crest_max_pool_s8(const crest_window *w, const int8_t *in, int8_t *out, int32_t act_min, int32_t act_max) {
  for (int32_t y = 0; y < w->out_h; y++) {
    for (int32_t x = 0; x < w->out_w; x++) {
      const int32_t top = y * w->stride_h - w->pad_top, left = x * w->stride_w - w->pad_left;
      int32_t i0, i1, j0, j1;
      taps(top, w->in_h, w->k_h, &i0, &i1);
      taps(left, w->in_w, w->k_w, &j0, &j1);
      for (int32_t c = 0; c < w->in_c; c++) {
        int32_t best = -128;
        for (int32_t i = i0; i < i1; i++) {
          for (int32_t j = j0; j < j1; j++) {
            int32_t value = in[((top + i) * w->in_w + left + j) * w->in_c + c];
            best = value > best ? value : best;
          }
        }
        *out++ = (int8_t)crest_clamp(best, act_min, act_max);
      }
    }
  }
}

void crest_max_pool_f32(const crest_window *w, const float *in, float *out, float act_min, float act_max) {
  for (int32_t y = 0; y < w->out_h; y++) {
    for (int32_t x = 0; x < w->out_w; x++) {
      const int32_t top = y * w->stride_h - w->pad_top, left = x * w->stride_w - w->pad_left;
      int32_t i0, i1, j0, j1;
      taps(top, w->in_h, w->k_h, &i0, &i1);
      taps(left, w->in_w, w->k_w, &j0, &j1);
      for (int32_t c = 0; c < w->in_c; c++) {
        float best = -__FLT_MAX__;
        for (int32_t i = i0; i < i1; i++) {
          for (int32_t j = j0; j < j1; j++) {
            float value = in[((top + i) * w->in_w + left + j) * w->in_c + c];
            best = value > best ? value : best;
          }
        }
        best = best < act_min ? act_min : best;
        *out++ = best > act_max ? act_max : best;
      }
    }
  }
}
