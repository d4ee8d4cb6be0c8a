/* SPDX-License-Identifier: Apache-2.0 */
#include "bounds_s8.h"

#include "dot_s8.h"
#include "requantise.h"

void crest_bound_s8(int8_t *values, int32_t n, int32_t low, int32_t high) {
  if (low == -128 && high == 127) return;
  int32_t i = 0;
#if CREST_DSP
  const uint32_t lows = (uint32_t)(low & 0xFF) * 0x01010101u, highs = (uint32_t)(high & 0xFF) * 0x01010101u;
  for (; i + 4 <= n; i += 4) {
    uint32_t word, unused;
    __builtin_memcpy(&word, values + i, 4);
    __asm__("ssub8 %1, %0, %2\n\tsel %0, %0, %2\n\t"
            "ssub8 %1, %3, %0\n\tsel %0, %0, %3"
            : "+r"(word), "=&r"(unused)
            : "r"(lows), "r"(highs));
    __builtin_memcpy(values + i, &word, 4);
  }
#endif
  for (; i < n; i++) values[i] = (int8_t)crest_clamp(values[i], low, high);
}
