/* SPDX-License-Identifier: Apache-2.0 */
#include "crest_nn.h"
#include "requantise.h"

/* Headroom that the reference gives both operands before they are rescaled to a common scale. */
#define ADD_LEFT_SHIFT 20

void crest_add_s8(const crest_add_s8_params *p, const int8_t *left, const int8_t *right, int8_t *out, int32_t n) {
  for (int32_t i = 0; i < n; i++) {
    int32_t a = (left[i] - p->left_zero) * (1 << ADD_LEFT_SHIFT);
    int32_t b = (right[i] - p->right_zero) * (1 << ADD_LEFT_SHIFT);
    a = crest_rounding_shift_right(crest_doubling_high_mul(a, p->left_multiplier), -p->left_shift);
    b = crest_rounding_shift_right(crest_doubling_high_mul(b, p->right_multiplier), -p->right_shift);
    int32_t sum = crest_doubling_high_mul(a + b, p->out_multiplier);
    sum = crest_rounding_shift_right(sum, -p->out_shift) + p->out_zero;
    out[i] = (int8_t)crest_clamp(sum, p->act_min, p->act_max);
  }
}

void crest_relu_s8(const crest_relu_s8_params *p, const int8_t *in, int8_t *out, int32_t n) {
  for (int32_t i = 0; i < n; i++) {
    int32_t value = crest_requantise(in[i] - p->in_zero, p->multiplier, p->shift) + p->out_zero;
    out[i] = (int8_t)crest_clamp(value, p->act_min, p->act_max);
  }
}
