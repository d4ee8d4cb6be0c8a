/* SPDX-License-Identifier: Apache-2.0 */
#include "crest_nn.h"
#include "exp_f32.h"

void crest_relu_f32(const float *in, float *out, int32_t n, float act_max) {
  for (int32_t i = 0; i < n; i++) out[i] = in[i] > act_max ? act_max : in[i] < 0.0f ? 0.0f : in[i];
}

void crest_leaky_relu_f32(const float *in, float *out, int32_t n, float alpha) {
  for (int32_t i = 0; i < n; i++) out[i] = in[i] > 0.0f ? in[i] : in[i] * alpha;
}

void crest_hard_swish_f32(const float *in, float *out, int32_t n) {
  for (int32_t i = 0; i < n; i++) {
    const float gate = in[i] + 3.0f;
    out[i] = in[i] * (gate < 0.0f ? 0.0f : gate > 6.0f ? 6.0f : gate) / 6.0f;
  }
}

void crest_logistic_f32(const float *in, float *out, int32_t n) {
  for (int32_t i = 0; i < n; i++) {
    const float power = crest_exponential(in[i] < 0.0f ? in[i] : -in[i]);
    /* Below -9 the reference takes the exponential itself. */
    out[i] = in[i] < -9.0f ? power : (in[i] < 0.0f ? power : 1.0f) / (1.0f + power);
  }
}

void crest_tanh_f32(const float *in, float *out, int32_t n) {
  for (int32_t i = 0; i < n; i++) {
    const float x = in[i] < 0.0f ? -in[i] : in[i];
    float value;
    if (x < 0.25f) {
      /* The difference below would cancel: five terms of the series. */
      const float s = x * x;
      value = x + x * s * (-1.0f / 3.0f + s * (2.0f / 15.0f + s * (-17.0f / 315.0f + s * (62.0f / 2835.0f))));
    } else {
      const float power = crest_exponential(-2.0f * x);
      value = (1.0f - power) / (1.0f + power);
    }
    out[i] = in[i] < 0.0f ? -value : value;
  }
}
