/* SPDX-License-Identifier: Apache-2.0 */
/* From sums of int16 layers to their values. */
#ifndef CREST_REQUANTISE_S16_H
#define CREST_REQUANTISE_S16_H

#include <stdint.h>

#include "crest_nn.h"
#include "requantise.h"

/* round(a * b / 2^32), halves towards plus infinity; b >= 0 and even. */
static inline int32_t crest_rounded_high_mul(int32_t a, int32_t b) {
#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP
  int32_t high;
  __asm__("smmulr %0, %1, %2" : "=r"(high) : "r"(a), "r"(b));
  return high;
#else
  return crest_doubling_high_mul(a, b / 2);
#endif
}

static inline int16_t crest_finish_s16(const crest_weighted_s16_params *p, const crest_channel_s16 *channel, int32_t sum) {
  return (int16_t)crest_clamp(crest_rounded_high_mul(sum, channel->multiplier), p->act_min, p->act_max);
}

static inline int16_t crest_finish_wide_s16(const crest_weighted_s16_params *p, const crest_wide_channel_s16 *channel,
                                            int64_t sum) {
  const int64_t half = (int64_t)1 << (channel->shift - 1);
  const int32_t value = (int32_t)((sum * channel->multiplier + half) >> channel->shift);
  return (int16_t)crest_clamp(value, p->act_min, p->act_max);
}

static inline int16_t crest_finish_narrow_s16(const crest_weighted_s16_params *p, const crest_channel *channel, int32_t sum) {
  return (int16_t)crest_clamp(crest_requantise(sum, channel->multiplier, channel->shift), p->act_min, p->act_max);
}

#endif
