/* SPDX-License-Identifier: Apache-2.0 */
/* Pools of int16 elements, and means over whole axes. */
#include "requantise.h"
#include "window_taps.h"

void crest_max_pool_s16(const crest_window *w, const int16_t *in, int16_t *out, int32_t act_min, int32_t act_max) {
  for (int32_t y = 0; y < w->out_h; y++) {
    for (int32_t x = 0; x < w->out_w; x++) {
      const crest_taps t = crest_taps_at(w, y, x);
      for (int32_t c = 0; c < w->in_c; c++) {
        int32_t best = -32768;
        for (int32_t i = t.first_row; i < t.last_row; i++) {
          const int16_t *at = in + crest_tap_index(w, &t, i, t.first_column) + c;
          for (int32_t n = t.last_column - t.first_column; n > 0; n--, at += w->in_c) best = *at > best ? *at : best;
        }
        *out++ = (int16_t)crest_clamp(best, act_min, act_max);
      }
    }
  }
}

void crest_average_pool_s16(const crest_window *w, const int16_t *in, int16_t *out, int32_t act_min, int32_t act_max) {
  for (int32_t y = 0; y < w->out_h; y++) {
    for (int32_t x = 0; x < w->out_w; x++) {
      const crest_taps t = crest_taps_at(w, y, x);
      const int32_t count = (t.last_row - t.first_row) * (t.last_column - t.first_column);
      for (int32_t c = 0; c < w->in_c; c++) {
        int32_t sum = 0;
        for (int32_t i = t.first_row; i < t.last_row; i++) {
          const int16_t *at = in + crest_tap_index(w, &t, i, t.first_column) + c;
          for (int32_t n = t.last_column - t.first_column; n > 0; n--, at += w->in_c) sum += *at;
        }
        /* Halves away from zero. */
        sum = (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
        *out++ = (int16_t)crest_clamp(sum, act_min, act_max);
      }
    }
  }
}

void crest_mean_s16(const int16_t *in, int16_t *out, int32_t outer, int32_t count, int32_t inner, int32_t multiplier,
                    int32_t shift) {
  for (int32_t o = 0; o < outer; o++, in += count * inner) {
    for (int32_t c = 0; c < inner; c++) {
      int32_t sum = 0;
      for (int32_t i = 0; i < count; i++) sum += in[i * inner + c];
      *out++ = (int16_t)crest_clamp(crest_requantise(sum, multiplier, shift), -32768, 32767);
    }
  }
}
