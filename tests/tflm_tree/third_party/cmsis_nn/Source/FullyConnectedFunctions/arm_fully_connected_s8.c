/* SPDX-License-Identifier: Apache-2.0 */
#include "arm_nnfunctions.h"

/* sum * multiplier / 2^31, then / 2^-shift, each rounded to nearest: the arithmetic that int8 inference is defined by. */
static int32_t requantise(int32_t sum, int32_t multiplier, int32_t shift) {
  const int32_t left = shift > 0 ? shift : 0, right = shift > 0 ? 0 : -shift;
  const int64_t product = (int64_t)(int32_t)((uint32_t)sum << left) * multiplier;
  const int64_t nudge = product >= 0 ? 1 << 30 : 1 - (1 << 30);
  const int32_t high = (int32_t)((product + nudge) / (1ll << 31));
  const int32_t mask = (int32_t)((1u << right) - 1), remainder = high & mask;
  const int32_t threshold = (mask >> 1) + (high < 0);
  return (high >> right) + (remainder > threshold);
}

void arm_fully_connected_s8(const stand_in_fc_params *params, const int8_t *in, const int8_t *weights,
                            const int32_t *bias, int8_t *out) {
  for (int32_t unit = 0; unit < params->units; unit++) {
    int32_t sum = bias[unit];
    for (int32_t i = 0; i < params->depth; i++) sum += (in[i] + params->in_offset) * *weights++;
    int32_t value = requantise(sum, params->multiplier, params->shift) + params->out_offset;
    if (value < params->lowest) value = params->lowest;
    out[unit] = (int8_t)(value > 127 ? 127 : value < -128 ? -128 : value);
  }
}
