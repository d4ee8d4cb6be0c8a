/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax in fixed point with the number formats and the order of rounding of TFLite Micro's reference kernel. Qm.n has m
 * integer and n fractional bits beside the sign. crest_doubling_high_mul takes its non-negative factor second. */
#include "crest_nn.h"
#include "requantise.h"

#define EXP_ONE 0x7FFFFFFF             /* 1 in Q0.31, as near as it comes */
#define QUARTER (1 << 24)              /* 1/4 in Q5.26 */
#define EXP_MINUS_EIGHTH 1895147668    /* exp(-1/8) in Q0.31 */
#define THIRD 715827883                /* 1/3 in Q0.31 */
#define SUM_INTEGER_BITS 12            /* sums of exponentials are Q12.19 */

/* exp(-2^(i - 2)) in Q0.31 */
static const int32_t powers[] = {1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242};

/* exp(a) in Q0.31 for a <= 0 in Q5.26: a Taylor polynomial of the fourth degree about -1/8 for the part of a within a quarter,
 * and one factor for each bit of the number of quarters beyond it. */
static int32_t exponential(int32_t a) {
  if (a == 0) return EXP_ONE;
  const int32_t within = (a & (QUARTER - 1)) - QUARTER;
  const uint32_t beyond = (uint32_t)(within - a) >> 24;
  const int32_t x = within * 32 + (1 << 28);
  const int32_t magnitude = x < 0 ? -x : x;
  const int32_t x2 = crest_doubling_high_mul(magnitude, magnitude);
  const int32_t x3 = crest_doubling_high_mul(x, x2);
  const int32_t x4 = crest_doubling_high_mul(x2, x2);
  int32_t high_terms = crest_doubling_high_mul(crest_rounding_shift_right(x4, 2) + x3, THIRD) + x2;
  high_terms = crest_rounding_shift_right(high_terms, 1);
  int32_t result = EXP_MINUS_EIGHTH + crest_doubling_high_mul(x + high_terms, EXP_MINUS_EIGHTH);
  for (int32_t i = 0; i < 7; i++) {
    if (beyond >> i & 1u) result = crest_doubling_high_mul(result, powers[i]);
  }
  return result;
}

/* 1 / (1 + a) in Q0.31 for a in [0, 1) in Q0.31: Newton's iteration on half the denominator, in Q2.29. */
static int32_t reciprocal(int32_t a) {
  const int32_t half = (a >> 1) + (1 << 30);
  int32_t x = 1515870810 + crest_doubling_high_mul(-1010580540, half); /* 48/17 - 32/17 * half */
  for (int32_t i = 0; i < 3; i++) {
    const int32_t error = (1 << 29) - crest_doubling_high_mul(x, half);
    x += crest_doubling_high_mul(error, x) * 4;
  }
  return x >= 1 << 30 ? EXP_ONE : x * 2;
}

static int32_t scaled(const crest_softmax_s8_params *p, int32_t difference) {
  return crest_doubling_high_mul((int32_t)((uint32_t)difference << p->shift), p->multiplier);
}

static void softmax(const crest_softmax_s8_params *p, const int8_t *in, int8_t *out) {
  int32_t largest = -128, sum = 0;
  for (int32_t i = 0; i < p->depth; i++) largest = in[i] > largest ? in[i] : largest;
  for (int32_t i = 0; i < p->depth; i++) {
    const int32_t difference = in[i] - largest;
    if (difference < p->difference_min) continue;
    sum += crest_rounding_shift_right(exponential(scaled(p, difference)), SUM_INTEGER_BITS);
  }
  /* The sum as (1 + a) * 2^k: it is at least 1, for the largest element adds 1. */
  int32_t headroom = 0;
  uint32_t mantissa = (uint32_t)sum;
  for (; !(mantissa >> 31); mantissa <<= 1) headroom++;
  const int32_t scale = reciprocal((int32_t)(mantissa & 0x7FFFFFFFu));
  const int32_t shift = SUM_INTEGER_BITS - headroom + 31 - 8;
  for (int32_t i = 0; i < p->depth; i++) {
    const int32_t difference = in[i] - largest;
    int32_t value = -128;
    if (difference >= p->difference_min) {
      const int32_t share = crest_doubling_high_mul(exponential(scaled(p, difference)), scale);
      value += crest_rounding_shift_right(share, shift);
    }
    out[i] = (int8_t)crest_clamp(value, -128, 127);
  }
}

void crest_softmax_s8(const crest_softmax_s8_params *p, const int8_t *in, int8_t *out) {
  for (int32_t o = 0; o < p->outer; o++, in += p->depth, out += p->depth) softmax(p, in, out);
}
