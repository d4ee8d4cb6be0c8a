/* SPDX-License-Identifier: Apache-2.0 */
/* Sums, products and rectifiers of int16, with the roundings of the reference one after the other. */
#include "broadcast.h"
#include "crest_nn.h"
#include "requantise.h"

/* Headroom that the reference gives both operands before they are rescaled to a common scale. */
#define ADD_LEFT_SHIFT 15

static inline int32_t scaled(int32_t x, int32_t multiplier, int32_t right_shift) {
  return crest_rounding_shift_right(crest_doubling_high_mul(x, multiplier), right_shift);
}

void crest_add_s16(const crest_add_s16_params *p, const int32_t *loops, const int16_t *left, const int16_t *right,
                   int16_t *out) {
  const int32_t n = crest_run_length(loops), left_step = crest_left_step(loops), right_step = crest_right_step(loops);
  crest_runs runs = {{0, 0, 0}, 0, 0};
  do {
    const int16_t *l = left + runs.left, *r = right + runs.right;
    for (int32_t i = 0; i < n; i++, l += left_step, r += right_step) {
      /* At most 2^30, and their sum once scaled as well. */
      const int32_t a = scaled(*l * (1 << ADD_LEFT_SHIFT), p->left_multiplier, p->left_shift);
      const int32_t b = scaled(*r * (1 << ADD_LEFT_SHIFT), p->right_multiplier, p->right_shift);
      const int32_t sum = scaled(a + b * p->right_sign, p->out_multiplier, p->out_shift);
      *out++ = (int16_t)crest_clamp(sum, p->act_min, p->act_max);
    }
  } while (crest_next_run(loops, &runs));
}

void crest_mul_s16(const crest_mul_s16_params *p, const int32_t *loops, const int16_t *left, const int16_t *right,
                   int16_t *out) {
  const int32_t n = crest_run_length(loops), left_step = crest_left_step(loops), right_step = crest_right_step(loops);
  crest_runs runs = {{0, 0, 0}, 0, 0};
  do {
    const int16_t *l = left + runs.left, *r = right + runs.right;
    for (int32_t i = 0; i < n; i++, l += left_step, r += right_step) {
      *out++ = (int16_t)crest_clamp(scaled(*l * *r, p->multiplier, p->shift), p->act_min, p->act_max);
    }
  } while (crest_next_run(loops, &runs));
}

void crest_relu_s16(const int16_t *in, int16_t *out, int32_t n, int32_t multiplier, int32_t shift, int32_t act_max) {
  for (int32_t i = 0; i < n; i++) out[i] = (int16_t)crest_clamp(crest_requantise(in[i], multiplier, shift), 0, act_max);
}
