/* SPDX-License-Identifier: Apache-2.0 */
/* Sums and products of int8 with the roundings of the reference, one after the other. */
#include "broadcast.h"
#include "crest_nn.h"
#include "requantise.h"

/* Headroom that the reference gives both operands before they are rescaled to a common scale. */
#define ADD_LEFT_SHIFT 20

static inline int32_t rescaled(int32_t x, int32_t multiplier, int32_t shift) {
  /* At most 255 * 2^20, so that even the sum of two stays below 2^30. */
  return crest_rounding_shift_small(crest_high_mul_small(x * (1 << ADD_LEFT_SHIFT), multiplier), -shift);
}

void crest_add_s8(const crest_add_s8_params *p, const int32_t *loops, const int8_t *left, const int8_t *right,
                  int8_t *out) {
  const int32_t n = crest_run_length(loops), left_step = crest_left_step(loops), right_step = crest_right_step(loops);
  crest_runs runs = {{0, 0, 0}, 0, 0};
  do {
    const int8_t *l = left + runs.left, *r = right + runs.right;
    for (int32_t i = 0; i < n; i++, l += left_step, r += right_step) {
      const int32_t a = rescaled(*l - p->left_zero, p->left_multiplier, p->left_shift);
      const int32_t b = rescaled(*r - p->right_zero, p->right_multiplier, p->right_shift);
      const int32_t high = crest_high_mul_small(a + b * p->right_sign, p->out_multiplier);
      const int32_t sum = crest_rounding_shift_small(high, -p->out_shift) + p->out_zero;
      *out++ = (int8_t)crest_clamp(sum, p->act_min, p->act_max);
    }
  } while (crest_next_run(loops, &runs));
}

void crest_mul_s8(const crest_mul_s8_params *p, const int32_t *loops, const int8_t *left, const int8_t *right,
                  int8_t *out) {
  const int32_t n = crest_run_length(loops), left_step = crest_left_step(loops), right_step = crest_right_step(loops);
  const int32_t left_zero = p->left_zero, right_zero = p->right_zero;
  const int32_t multiplier = p->multiplier, left_shift = p->shift > 0 ? p->shift : 0, right_shift = left_shift - p->shift;
  crest_runs runs = {{0, 0, 0}, 0, 0};
  do {
    const int8_t *l = left + runs.left, *r = right + runs.right;
    for (int32_t i = 0; i < n; i++, l += left_step, r += right_step) {
      const int32_t product = (*l - left_zero) * (*r - right_zero) * (1 << left_shift);
      const int32_t value = crest_rounding_shift_small(crest_high_mul_small(product, multiplier), right_shift);
      *out++ = (int8_t)crest_clamp(value + p->out_zero, p->act_min, p->act_max);
    }
  } while (crest_next_run(loops, &runs));
}
