/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise convolution of int16 with sums of 64 bits. */
#include "requantise_s16.h"
#include "window_taps.h"

static int64_t sum_taps(const crest_weighted_s16_params *p, const crest_taps *t, const int16_t *in, int32_t from, int32_t c) {
  const crest_window *w = &p->window;
  const int8_t *weights = (const int8_t *)p->weights + c;
  int64_t sum = ((const crest_wide_channel_s16 *)p->channels)[c].bias;
  for (int32_t i = t->first_row; i < t->last_row; i++) {
    for (int32_t j = t->first_column; j < t->last_column; j++) {
      sum += in[crest_tap_index(w, t, i, j) + from] * weights[(i * w->k_w + j) * w->out_c];
    }
  }
  return sum;
}

void crest_depthwise_wide_s16(const crest_weighted_s16_params *p, const int16_t *in, int16_t *out) {
  const crest_window *w = &p->window;
  const crest_wide_channel_s16 *channels = p->channels;
  const int32_t multiplier = w->out_c / w->in_c;
  for (int32_t y = 0; y < w->out_h; y++) {
    for (int32_t x = 0; x < w->out_w; x++) {
      const crest_taps t = crest_taps_at(w, y, x);
      for (int32_t c = 0, from = 0; from < w->in_c; from++) {
        for (int32_t m = 0; m < multiplier; m++, c++) {
          *out++ = crest_finish_wide_s16(p, channels + c, sum_taps(p, &t, in, from, c));
        }
      }
    }
  }
}
