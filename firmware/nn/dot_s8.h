/* SPDX-License-Identifier: Apache-2.0 */
/* Four int8 at a time, for cores with the DSP extension. */
#ifndef CREST_DOT_S8_H
#define CREST_DOT_S8_H

#include <stdint.h>

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP
#include <arm_acle.h>
#define CREST_DSP 1

typedef struct {
  int16x2_t even, odd;
} crest_quad;

/* Four int8 as two pairs of int16: elements 0 and 2, 1 and 3. */
static inline crest_quad crest_load_quad(const int8_t *p) {
  uint32_t word;
  crest_quad quad;
  __builtin_memcpy(&word, p, 4);
  __asm__("sxtb16 %0, %1" : "=r"(quad.even) : "r"(word));
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(quad.odd) : "r"(word));
  return quad;
}
#else
#define CREST_DSP 0
#endif

#endif
