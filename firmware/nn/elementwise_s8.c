/* SPDX-License-Identifier: Apache-2.0 */
#include "crest_nn.h"
#include "requantise.h"

/* Headroom that the reference gives both operands before they are rescaled to a common scale. */
#define ADD_LEFT_SHIFT 20

void crest_add_s8(const crest_add_s8_params *p, const int8_t *left, const int8_t *right, int8_t *out, int32_t n) {
  /* Stores of bytes may alias anything: what is read once here would be read for every element. */
  const int32_t left_multiplier = p->left_multiplier, left_shift = -p->left_shift;
  const int32_t right_multiplier = p->right_multiplier, right_shift = -p->right_shift;
  const int32_t out_multiplier = p->out_multiplier, out_shift = -p->out_shift;
  for (int32_t i = 0; i < n; i++) {
    int32_t a = (left[i] - p->left_zero) * (1 << ADD_LEFT_SHIFT);
    int32_t b = (right[i] - p->right_zero) * (1 << ADD_LEFT_SHIFT);
    /* At most 255 * 2^20, so that even their sum stays below 2^30. */
    a = crest_rounding_shift_small(crest_high_mul_small(a, left_multiplier), left_shift);
    b = crest_rounding_shift_small(crest_high_mul_small(b, right_multiplier), right_shift);
    int32_t sum = crest_high_mul_small(a + b, out_multiplier);
    sum = crest_rounding_shift_small(sum, out_shift) + p->out_zero;
    out[i] = (int8_t)crest_clamp(sum, p->act_min, p->act_max);
  }
}

void crest_relu_s8(const crest_relu_s8_params *p, const int8_t *in, int8_t *out, int32_t n) {
  for (int32_t i = 0; i < n; i++) {
    int32_t value = crest_requantise(in[i] - p->in_zero, p->multiplier, p->shift) + p->out_zero;
    out[i] = (int8_t)crest_clamp(value, p->act_min, p->act_max);
  }
}
