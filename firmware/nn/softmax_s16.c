/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax of int16 from tables, with the number formats and the order of rounding of TFLite Micro's reference kernel. */
#include "crest_nn.h"
#include "requantise.h"

/* A table of 513 samples of a function of 16 bits, interpolated. */
static int32_t look_up(const int16_t *table, int32_t x) {
  x = crest_clamp(x, -32768, 32767);
  const int16_t *at = table + 256 + (x >> 7);
  return at[0] + (((at[1] - at[0]) * (x & 127) + 64) >> 7);
}

static void softmax(const crest_softmax_s16_params *p, const int16_t *in, int16_t *out) {
  int32_t largest = -32768, sum = 0;
  for (int32_t i = 0; i < p->depth; i++) largest = in[i] > largest ? in[i] : largest;
  for (int32_t i = 0; i < p->depth; i++) {
    const int32_t scaled = crest_requantise(in[i] - largest, p->multiplier, p->shift);
    out[i] = (int16_t)look_up(p->exponentials, scaled + 32767);
    sum += out[i];
  }
  /* The sum as (1 + x) * 2^shift / 2^15 with x in [0, 1) of 16 bits. */
  int32_t headroom = 0;
  for (uint32_t s = (uint32_t)sum; s < 1u << 30; s <<= 1) headroom++;
  const int32_t x = (int32_t)((((uint32_t)sum << headroom) + (1u << 13)) >> 14) - (1 << 16);
  const int32_t reciprocal = look_up(p->reciprocals, x - (1 << 15));
  const int32_t shift = 30 - headroom;
  for (int32_t i = 0; i < p->depth; i++) {
    const uint32_t share = (uint32_t)(out[i] * reciprocal) + (1u << (shift - 1));
    out[i] = (int16_t)crest_clamp((int32_t)(share >> shift), 0, 32767);
  }
}

void crest_softmax_s16(const crest_softmax_s16_params *p, const int16_t *in, int16_t *out) {
  for (int32_t o = 0; o < p->outer; o++, in += p->depth, out += p->depth) softmax(p, in, out);
}
