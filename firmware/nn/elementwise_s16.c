/* SPDX-License-Identifier: Apache-2.0 */
#include "crest_nn.h"
#include "requantise.h"

#define ADD_LEFT_SHIFT 15

static inline int32_t scaled(int32_t x, int32_t multiplier, int32_t right_shift) {
  return crest_rounding_shift_right(crest_doubling_high_mul(x, multiplier), right_shift);
}

void crest_add_s16(const crest_add_s16_params *p, const int16_t *left, const int16_t *right, int16_t *out, int32_t n) {
  for (int32_t i = 0; i < n; i++) {
    /* At most 2^30, and their sum once scaled as well. */
    const int32_t a = scaled(left[i] * (1 << ADD_LEFT_SHIFT), p->left_multiplier, p->left_shift);
    const int32_t b = scaled(right[i] * (1 << ADD_LEFT_SHIFT), p->right_multiplier, p->right_shift);
    out[i] = (int16_t)crest_clamp(scaled(a + b, p->out_multiplier, p->out_shift), p->act_min, p->act_max);
  }
}

void crest_relu_s16(const int16_t *in, int16_t *out, int32_t n, int32_t multiplier, int32_t shift, int32_t act_max) {
  for (int32_t i = 0; i < n; i++) out[i] = (int16_t)crest_clamp(crest_requantise(in[i], multiplier, shift), 0, act_max);
}
