/* SPDX-License-Identifier: Apache-2.0 */
/* The bounds of an activation, for layers whose outputs are saturated to int8 already. */
#ifndef CREST_BOUNDS_S8_H
#define CREST_BOUNDS_S8_H

#include <stdint.h>

#include "dot_s8.h"

/* Clamps n values in place; costs nothing where the bounds are those of int8. */
void crest_bound_s8(int8_t *values, int32_t n, int32_t low, int32_t high);

#if CREST_DSP
/* Four bytes, each at least that of lows and at most that of highs. */
static inline uint32_t crest_bound_word_s8(uint32_t bytes, uint32_t lows, uint32_t highs) {
  uint32_t difference;
  __asm__("ssub8 %1, %0, %2\n\tsel %0, %0, %2\n\t"
          "ssub8 %1, %3, %0\n\tsel %0, %0, %3"
          : "+r"(bytes), "=&r"(difference)
          : "r"(lows), "r"(highs));
  return bytes;
}
#endif

#endif
