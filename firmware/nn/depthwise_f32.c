/* SPDX-License-Identifier: Apache-2.0 */
#include "crest_nn.h"

void crest_depthwise_f32(const crest_conv2d_f32_params *p, const float *in, float *out) {
  const crest_window *w = &p->window;
  const int32_t multiplier = w->out_c / w->in_c;
  for (int32_t y = 0; y < w->out_h; y++) {
    for (int32_t x = 0; x < w->out_w; x++) {
      for (int32_t c = 0; c < w->out_c; c++) {
        const int32_t from_c = c / multiplier;
        float sum = 0.0f;
        for (int32_t i = 0; i < w->k_h; i++) {
          const int32_t from_y = y * w->stride_h - w->pad_top + i * w->dilation_h;
          if (from_y < 0 || from_y >= w->in_h) continue;
          for (int32_t j = 0; j < w->k_w; j++) {
            const int32_t from_x = x * w->stride_w - w->pad_left + j * w->dilation_w;
            if (from_x < 0 || from_x >= w->in_w) continue;
            sum += in[(from_y * w->in_w + from_x) * w->in_c + from_c] * p->weights[(i * w->k_w + j) * w->out_c + c];
          }
        }
        sum += p->bias[c];
        sum = sum < p->act_min ? p->act_min : sum;
        *out++ = sum > p->act_max ? p->act_max : sum;
      }
    }
  }
}
