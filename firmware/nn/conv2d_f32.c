/* SPDX-License-Identifier: Apache-2.0 */
#include "crest_nn.h"

static inline float clamp(float x, float low, float high) {
  x = x < low ? low : x;
  return x > high ? high : x;
}

void crest_conv2d_f32(const crest_conv2d_f32_params *p, const float *in, float *out) {
  const crest_window *w = &p->window;
  const int32_t depth = w->k_h * w->k_w * w->in_c;
  for (int32_t y = 0; y < w->out_h; y++) {
    for (int32_t x = 0; x < w->out_w; x++) {
      for (int32_t c = 0; c < w->out_c; c++) {
        const float *weights = p->weights + c * depth;
        float sum = 0.0f;
        for (int32_t i = 0; i < w->k_h; i++) {
          const int32_t from_y = y * w->stride_h - w->pad_top + i * w->dilation_h;
          if (from_y < 0 || from_y >= w->in_h) continue;
          for (int32_t j = 0; j < w->k_w; j++) {
            const int32_t from_x = x * w->stride_w - w->pad_left + j * w->dilation_w;
            if (from_x < 0 || from_x >= w->in_w) continue;
            const float *from = in + (from_y * w->in_w + from_x) * w->in_c;
            const float *tap = weights + (i * w->k_w + j) * w->in_c;
            for (int32_t k = 0; k < w->in_c; k++) sum += from[k] * tap[k];
          }
        }
        *out++ = clamp(sum + p->bias[c], p->act_min, p->act_max);
      }
    }
  }
}
