/* SPDX-License-Identifier: Apache-2.0 */
/* Dot products of an int16 vector with the int8 weights of two channels, which stand in turns: one word of weights holds two
 * taps of both, and with the DSP extension SMLAD multiplies the two taps of a channel at once. */
#ifndef CREST_DOT_S16_H
#define CREST_DOT_S16_H

#include <stdint.h>

#include "dot_s8.h"

#if CREST_DSP

typedef struct {
  int16x2_t first, second; /* channel */
} crest_taps_s16;

static inline crest_taps_s16 crest_load_taps(const int8_t *weights) {
  uint32_t word;
  crest_taps_s16 taps;
  __builtin_memcpy(&word, weights, 4);
  __asm__("sxtb16 %0, %1" : "=r"(taps.first) : "r"(word));
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(taps.second) : "r"(word));
  return taps;
}

static inline int16x2_t crest_load_two(const int16_t *x) {
  int16x2_t two;
  __builtin_memcpy(&two, x, 4);
  return two;
}

/* Modulo 2^32. */
static inline void crest_mac_two(const int16_t *x, crest_taps_s16 w, uint32_t *first, uint32_t *second) {
  const int16x2_t two = crest_load_two(x);
  *first = (uint32_t)__smlad(two, w.first, (int32_t)*first);
  *second = (uint32_t)__smlad(two, w.second, (int32_t)*second);
}

static inline void crest_mac_two_wide(const int16_t *x, crest_taps_s16 w, int64_t *first, int64_t *second) {
  const int16x2_t two = crest_load_two(x);
  *first = __smlald(two, w.first, *first);
  *second = __smlald(two, w.second, *second);
}

#else

typedef struct {
  int32_t first[2], second[2];
} crest_taps_s16;

static inline crest_taps_s16 crest_load_taps(const int8_t *weights) {
  uint32_t word;
  __builtin_memcpy(&word, __builtin_assume_aligned(weights, 4), 4);
  crest_taps_s16 taps = {{(int8_t)word, (int8_t)(word >> 16)}, {(int8_t)(word >> 8), (int32_t)word >> 24}};
  return taps;
}

static inline void crest_mac_two(const int16_t *x, crest_taps_s16 w, uint32_t *first, uint32_t *second) {
  *first += (uint32_t)(x[0] * w.first[0] + x[1] * w.first[1]);
  *second += (uint32_t)(x[0] * w.second[0] + x[1] * w.second[1]);
}

static inline void crest_mac_two_wide(const int16_t *x, crest_taps_s16 w, int64_t *first, int64_t *second) {
  *first += x[0] * w.first[0] + x[1] * w.first[1];
  *second += x[0] * w.second[0] + x[1] * w.second[1];
}

#endif

#endif
