/* SPDX-License-Identifier: Apache-2.0 */
/* Fixed-point requantization with the double rounding of TFLite Micro's reference kernels. */
#ifndef CREST_REQUANTISE_H
#define CREST_REQUANTISE_H

#include <stdint.h>

#include "crest_nn.h"

/* round(a * b / 2^31), halves towards plus infinity; b >= 0, so the one overflow of the reference cannot occur. */
static inline int32_t crest_doubling_high_mul(int32_t a, int32_t b) {
#if defined(__ARM_ARCH_6M__)
  /* No 32x32->64 multiply on v6-M: four 16-bit products instead of the library's 64-bit helper. */
  uint32_t a_low = (uint32_t)a & 0xFFFFu, b_low = (uint32_t)b & 0xFFFFu;
  int32_t a_high = a >> 16, b_high = b >> 16;
  uint32_t low = a_low * b_low;
  int32_t middle_1 = a_high * (int32_t)b_low;
  uint32_t middle_2 = a_low * (uint32_t)b_high;
  uint32_t carry = (low >> 16) + ((uint32_t)middle_1 & 0xFFFFu) + (middle_2 & 0xFFFFu);
  uint32_t high = (uint32_t)(a_high * b_high) + (uint32_t)(middle_1 >> 16) + (middle_2 >> 16) + (carry >> 16);
  low = (carry << 16) | (low & 0xFFFFu);
  uint32_t rounded = low + (1u << 30);
  high += rounded < low;
  return (int32_t)((high << 1) | (rounded >> 31));
#else
  return (int32_t)(((int64_t)a * b + (1 << 30)) >> 31);
#endif
}

/* x / 2^exponent, halves away from zero. */
static inline int32_t crest_rounding_shift_right(int32_t x, int32_t exponent) {
  int32_t mask = (int32_t)((1u << exponent) - 1u);
  int32_t remainder = x & mask;
  int32_t threshold = (mask >> 1) - (x >> 31);
  return (x >> exponent) + (remainder > threshold);
}

static inline int32_t crest_requantise(int32_t x, int32_t multiplier, int32_t shift) {
  int32_t left = shift > 0 ? shift : 0;
  int32_t right = shift > 0 ? 0 : -shift;
  return crest_rounding_shift_right(crest_doubling_high_mul((int32_t)((uint32_t)x << left), multiplier), right);
}

/* crest_doubling_high_mul for |a| < 2^30: one instruction behind the doubling where the core has it. */
static inline int32_t crest_high_mul_small(int32_t a, int32_t b) {
#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP
  int32_t high;
  __asm__("smmulr %0, %1, %2" : "=r"(high) : "r"(a * 2), "r"(b));
  return high;
#else
  return crest_doubling_high_mul(a, b);
#endif
}

/* crest_rounding_shift_right for |x| < 2^30: one less before the shift where x is negative, but not if nothing is shifted. */
static inline int32_t crest_rounding_shift_small(int32_t x, int32_t exponent) {
  return (x + ((x & -exponent) >> 31) + (int32_t)((1u << exponent) >> 1)) >> exponent;
}

static inline int32_t crest_clamp(int32_t x, int32_t low, int32_t high) {
  x = x < low ? low : x;
  return x > high ? high : x;
}

/* From the sum of one output channel to its int8 value, for any sum and factor. */
static inline int8_t crest_finish_wide_s8(const crest_wide_s8_params *p, int32_t c, int32_t sum) {
  int32_t value = crest_requantise(sum, p->channels[c].multiplier, p->channels[c].shift) + p->out_zero;
  return (int8_t)crest_clamp(value, p->act_min, p->act_max);
}

/* The int8 range, before the bounds of an activation. */
static inline int32_t crest_saturate_s8(int32_t x) {
#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP
  __asm__("ssat %0, #8, %1" : "=r"(x) : "r"(x));
  return x;
#else
  return crest_clamp(x, -128, 127);
#endif
}

/* What the channels of a layer share, read once: stores of bytes may alias anything. */
typedef struct {
  int32_t twice_out_zero_plus_one, multiplier_step;
  const int32_t *bias, *multiplier;
} crest_finish;

/* From channel c on. */
static inline crest_finish crest_finish_at(const crest_weighted_s8_params *p, int32_t c) {
  const int32_t *multiplier = p->multipliers + c * (p->multiplier_step / 4);
  crest_finish f = {2 * p->out_zero + 1, p->multiplier_step, p->biases + c, multiplier};
  return f;
}

/* From the sum of a channel to its int8 value; goes on to the next channel. One less before the shift where the value is
 * negative, and the half and the output zero point in one addition. */
static inline int8_t crest_finish_next(crest_finish *f, int32_t sum) {
  const int32_t shift = *f->bias++ & 31;
  int32_t x = crest_high_mul_small(sum, *f->multiplier);
  f->multiplier = (const int32_t *)((const int8_t *)f->multiplier + f->multiplier_step);
  x += x >> 31;
  x += (int32_t)((uint32_t)f->twice_out_zero_plus_one << shift);
  return (int8_t)crest_saturate_s8(x >> (shift + 1));
}

#endif
