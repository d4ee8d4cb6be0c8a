/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise convolution of int16. Padding is zero and adds nothing, so that its taps are left out. */
#include "dot_s8.h"
#include "requantise_s16.h"
#include "window_taps.h"

#if CREST_DSP
/* sum + one half of x * one half of w; b is the lower half, t the upper. */
#define MAC(halves, sum, x, w) __asm__("smla" halves " %0, %1, %2, %0" : "+r"(sum) : "r"(x), "r"(w))

static inline uint32_t load_word(const void *at) {
  uint32_t word;
  __builtin_memcpy(&word, at, 4);
  return word;
}
#endif

/* Four channels from c on, where every input channel gives one. */
static void four_channels(const crest_weighted_s16_params *p, const crest_taps *t, const int16_t *in, int32_t c, int16_t *out) {
  const crest_window *w = &p->window;
  const crest_channel_s16 *channel = (const crest_channel_s16 *)p->channels + c;
  int32_t s0 = channel[0].bias, s1 = channel[1].bias, s2 = channel[2].bias, s3 = channel[3].bias;
  const int32_t step = w->dilation_w * w->in_c;
  for (int32_t i = t->first_row; i < t->last_row; i++) {
    const int16_t *x = in + crest_tap_index(w, t, i, t->first_column) + c;
    const int8_t *weights = (const int8_t *)p->weights + (i * w->k_w + t->first_column) * w->out_c + c;
    for (int32_t n = t->last_column - t->first_column; n > 0; n--, x += step, weights += w->out_c) {
#if CREST_DSP
      uint32_t odd, even = load_word(weights);
      const uint32_t low = load_word(x), high = load_word(x + 2);
      __asm__("sxtb16 %0, %1, ror #8" : "=r"(odd) : "r"(even));
      __asm__("sxtb16 %0, %0" : "+r"(even));
      MAC("bb", s0, low, even);
      MAC("tb", s1, low, odd);
      MAC("bt", s2, high, even);
      MAC("tt", s3, high, odd);
#else
      s0 += x[0] * weights[0];
      s1 += x[1] * weights[1];
      s2 += x[2] * weights[2];
      s3 += x[3] * weights[3];
#endif
    }
  }
  out[0] = crest_finish_s16(p, channel, s0);
  out[1] = crest_finish_s16(p, channel + 1, s1);
  out[2] = crest_finish_s16(p, channel + 2, s2);
  out[3] = crest_finish_s16(p, channel + 3, s3);
}

/* Output channel c, of input channel from. */
static int16_t one_channel(const crest_weighted_s16_params *p, const crest_taps *t, const int16_t *in, int32_t from,
                           int32_t c) {
  const crest_window *w = &p->window;
  const crest_channel_s16 *channel = (const crest_channel_s16 *)p->channels + c;
  int32_t sum = channel->bias;
  for (int32_t i = t->first_row; i < t->last_row; i++) {
    const int16_t *x = in + crest_tap_index(w, t, i, 0) + from;
    const int8_t *weights = (const int8_t *)p->weights + i * w->k_w * w->out_c + c;
    for (int32_t j = t->first_column; j < t->last_column; j++) {
      sum += x[j * w->dilation_w * w->in_c] * weights[j * w->out_c];
    }
  }
  return crest_finish_s16(p, channel, sum);
}

void crest_depthwise_s16(const crest_weighted_s16_params *p, const int16_t *in, int16_t *out) {
  const crest_window *w = &p->window;
  const int32_t multiplier = w->out_c / w->in_c;
  for (int32_t y = 0; y < w->out_h; y++) {
    for (int32_t x = 0; x < w->out_w; x++, out += w->out_c) {
      const crest_taps t = crest_taps_at(w, y, x);
      int32_t c = 0;
      if (multiplier == 1) {
        for (; c + 4 <= w->out_c; c += 4) four_channels(p, &t, in, c, out + c);
      }
      for (int32_t from = c / multiplier; from < w->in_c; from++) {
        for (int32_t m = 0; m < multiplier; m++, c++) out[c] = one_channel(p, &t, in, from, c);
      }
    }
  }
}
