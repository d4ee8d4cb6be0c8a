/* SPDX-License-Identifier: Apache-2.0 */
/* From the sum of one output channel to its int8 value. */
#ifndef CREST_FINISH_S8_H
#define CREST_FINISH_S8_H

#include "crest_nn.h"
#include "requantise.h"

static inline int8_t crest_finish_s8(const crest_conv2d_s8_params *p, const crest_channel *channel, int32_t sum) {
#ifdef CREST_WIDE
  int32_t value = crest_requantise(sum, channel->multiplier, channel->shift) + p->out_zero;
#else
  int32_t value = crest_requantise_small(sum, channel->multiplier, channel->shift) + p->out_zero;
#endif
  return (int8_t)crest_clamp(value, p->act_min, p->act_max);
}

#endif
