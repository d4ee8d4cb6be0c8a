/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CREST_EXP_F32_H
#define CREST_EXP_F32_H

#include <stdint.h>

/* exp(x) for x <= 0 within a few units of the last place; what a normal float cannot hold is 0. */
static inline float crest_exponential(float x) {
  if (!(x > -87.0f)) return 0.0f;
  /* x = n ln 2 + r, |r| <= ln 2 / 2; ln 2 in two parts, the first of few bits, so that n times it is exact. */
  const int32_t n = (int32_t)(x * 1.44269504f - 0.5f);
  const float r = (x - (float)n * 0.693359375f) + (float)n * 2.12194440e-4f;
  float sum = 1.0f / 720.0f;
  sum = sum * r + 1.0f / 120.0f;
  sum = sum * r + 1.0f / 24.0f;
  sum = sum * r + 1.0f / 6.0f;
  sum = sum * r + 0.5f;
  sum = sum * r + 1.0f;
  sum = sum * r + 1.0f;
  const int32_t bits = (n + 127) * (1 << 23);
  float power;
  __builtin_memcpy(&power, &bits, 4);
  return sum * power;
}

#endif
