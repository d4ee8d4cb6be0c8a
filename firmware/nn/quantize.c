/* SPDX-License-Identifier: Apache-2.0 */
/* Between real numbers and int8. */
#include "crest_nn.h"
#include "requantise.h"

/* Beyond it the zero point cannot bring a value back into the range of int8. */
#define LARGEST 512.0f

void crest_quantize_f32_s8(const float *in, int8_t *out, int32_t n, float scale, int32_t zero_point) {
  for (int32_t i = 0; i < n; i++) {
    float x = in[i] / scale;
    x = x < -LARGEST ? -LARGEST : x > LARGEST ? LARGEST : x;
    /* To the nearest integer, halves away from zero; the fraction is exact, adding a half would not be. */
    int32_t value = (int32_t)x;
    const float fraction = x - (float)value;
    value += (fraction >= 0.5f) - (fraction <= -0.5f);
    out[i] = (int8_t)crest_clamp(value + zero_point, -128, 127);
  }
}

void crest_dequantize_s8_f32(const int8_t *in, float *out, int32_t n, float scale, int32_t zero_point) {
  for (int32_t i = 0; i < n; i++) out[i] = scale * (float)(in[i] - zero_point);
}
