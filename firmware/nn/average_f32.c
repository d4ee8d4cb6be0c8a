/* SPDX-License-Identifier: Apache-2.0 */
#include "crest_nn.h"

void crest_average_pool_f32(const crest_window *w, const float *in, float *out, float act_min, float act_max) {
  for (int32_t y = 0; y < w->out_h; y++) {
    const int32_t top = y * w->stride_h - w->pad_top;
    const int32_t y0 = top < 0 ? 0 : top, y1 = top + w->k_h > w->in_h ? w->in_h : top + w->k_h;
    for (int32_t x = 0; x < w->out_w; x++) {
      const int32_t left = x * w->stride_w - w->pad_left;
      const int32_t x0 = left < 0 ? 0 : left, x1 = left + w->k_w > w->in_w ? w->in_w : left + w->k_w;
      const float count = (float)((y1 - y0) * (x1 - x0));
      for (int32_t c = 0; c < w->in_c; c++) {
        float sum = 0.0f;
        for (int32_t i = y0; i < y1; i++) {
          for (int32_t j = x0; j < x1; j++) sum += in[(i * w->in_w + j) * w->in_c + c];
        }
        sum /= count;
        sum = sum < act_min ? act_min : sum;
        *out++ = sum > act_max ? act_max : sum;
      }
    }
  }
}

void crest_mean_f32(const float *in, float *out, int32_t outer, int32_t count, int32_t inner) {
  for (int32_t o = 0; o < outer; o++, in += count * inner) {
    for (int32_t c = 0; c < inner; c++) {
      float sum = 0.0f;
      for (int32_t i = 0; i < count; i++) sum += in[i * inner + c];
      *out++ = sum / (float)count;
    }
  }
}
