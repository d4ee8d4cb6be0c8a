/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise convolution with requantization that is exact for every sum, and any number of output channels per input
 * channel. */
#include "crest_nn.h"
#include "requantise.h"

static int32_t sum_taps(const crest_wide_s8_params *p, const int8_t *in, int32_t top, int32_t left, int32_t from, int32_t c) {
  const crest_window *w = &p->window;
  const int8_t *weight = p->weights + c;
  int32_t sum = p->channels[c].bias;
  for (int32_t i = 0; i < w->k_h; i++) {
    const int32_t y = top + i * w->dilation_h;
    for (int32_t j = 0; j < w->k_w; j++, weight += w->out_c) {
      const int32_t x = left + j * w->dilation_w;
      const int outside = y < 0 || y >= w->in_h || x < 0 || x >= w->in_w;
      sum += (outside ? p->in_zero : in[(y * w->in_w + x) * w->in_c + from]) * *weight;
    }
  }
  return sum;
}

void crest_depthwise_wide_s8(const crest_wide_s8_params *p, const int8_t *in, int8_t *out) {
  const crest_window *w = &p->window;
  const int32_t multiplier = w->out_c / w->in_c;
  for (int32_t y = 0; y < w->out_h; y++) {
    for (int32_t x = 0; x < w->out_w; x++) {
      const int32_t top = y * w->stride_h - w->pad_top, left = x * w->stride_w - w->pad_left;
      for (int32_t c = 0, from = 0; from < w->in_c; from++) {
        for (int32_t m = 0; m < multiplier; m++, c++) {
          *out++ = crest_finish_wide_s8(p, c, sum_taps(p, in, top, left, from, c));
        }
      }
    }
  }
}
