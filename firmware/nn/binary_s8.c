/* SPDX-License-Identifier: Apache-2.0 */
/* Sums and products of int8 with the roundings of the reference, one after the other. */
#include "broadcast.h"
#include "crest_nn.h"
#include "requantise.h"
#include "rolled.h"

/* Headroom that the reference gives both operands before they are rescaled to a common scale. */
#define ADD_LEFT_SHIFT 20

static inline int32_t rescaled(int32_t x, int32_t multiplier, int32_t right_shift) {
  /* At most 255 * 2^20, so that even the sum of two stays below 2^30. */
  return crest_rounding_shift_small(crest_high_mul_small(x * (1 << ADD_LEFT_SHIFT), multiplier), right_shift);
}

/* Runs are functions of their own, so that the loop has all registers. A step of 0 repeats an operand's element. */
static __attribute__((noinline)) void add_run(const crest_add_s8_params *params, const int8_t *left, int32_t left_step,
                                              const int8_t *right, int32_t right_step, int8_t *out, int32_t n) {
  /* Stores of bytes may alias anything: what is read once here would be read for every element. */
  const crest_add_s8_params p = *params;
  CREST_ROLLED
  for (; n > 0; n--, left += left_step, right += right_step) {
    const int32_t a = rescaled(*left - p.left_zero, p.left_multiplier, -p.left_shift);
    const int32_t b = rescaled(*right - p.right_zero, p.right_multiplier, -p.right_shift);
    const int32_t high = crest_high_mul_small(a + b * p.right_sign, p.out_multiplier);
    const int32_t sum = crest_rounding_shift_small(high, -p.out_shift) + p.out_zero;
    *out++ = (int8_t)crest_clamp(sum, p.act_min, p.act_max);
  }
}

static __attribute__((noinline)) void mul_run(const crest_mul_s8_params *params, const int8_t *left, int32_t left_step,
                                              const int8_t *right, int32_t right_step, int8_t *out, int32_t n) {
  const crest_mul_s8_params p = *params;
  const int32_t left_shift = p.shift > 0 ? p.shift : 0, right_shift = left_shift - p.shift;
  CREST_ROLLED
  for (; n > 0; n--, left += left_step, right += right_step) {
    const int32_t product = (*left - p.left_zero) * (*right - p.right_zero) * (1 << left_shift);
    const int32_t value = crest_rounding_shift_small(crest_high_mul_small(product, p.multiplier), right_shift);
    *out++ = (int8_t)crest_clamp(value + p.out_zero, p.act_min, p.act_max);
  }
}

void crest_add_s8(const crest_add_s8_params *p, const int32_t *loops, const int8_t *left, const int8_t *right,
                  int8_t *out) {
  const int32_t n = crest_run_length(loops), left_step = crest_left_step(loops), right_step = crest_right_step(loops);
  crest_runs runs = {{0, 0, 0}, 0, 0};
  do {
    add_run(p, left + runs.left, left_step, right + runs.right, right_step, out, n);
    out += n;
  } while (crest_next_run(loops, &runs));
}

void crest_mul_s8(const crest_mul_s8_params *p, const int32_t *loops, const int8_t *left, const int8_t *right,
                  int8_t *out) {
  const int32_t n = crest_run_length(loops), left_step = crest_left_step(loops), right_step = crest_right_step(loops);
  crest_runs runs = {{0, 0, 0}, 0, 0};
  do {
    mul_run(p, left + runs.left, left_step, right + runs.right, right_step, out, n);
    out += n;
  } while (crest_next_run(loops, &runs));
}
