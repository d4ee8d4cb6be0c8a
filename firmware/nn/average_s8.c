/* SPDX-License-Identifier: Apache-2.0 */
/* Averages of int8 elements: over a window, and over whole axes with a change of scale. */
#include "crest_nn.h"
#include "dot_s8.h"
#include "requantise.h"

#if CREST_DSP
/* Elements whose sum always fits the 16 bits that two channels share a register with. */
#define MOST_PAIRED 256

static inline uint32_t add_even(uint32_t sums, uint32_t word) {
  __asm__("sxtab16 %0, %1, %2" : "=r"(sums) : "r"(sums), "r"(word));
  return sums;
}

static inline uint32_t add_odd(uint32_t sums, uint32_t word) {
  __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(sums) : "r"(sums), "r"(word));
  return sums;
}
#endif

/* A block of elements of one channel; its neighbours in memory belong to the next channels. */
typedef struct {
  const int8_t *first;
  int32_t rows, columns, row_pitch, column_pitch;
} block;

/* Adds the block of one channel, or of four; returns how many channels were added. */
static int32_t sum_channels(const block *b, int32_t channel, int32_t channels, int32_t *sums) {
  const int8_t *line = b->first + channel;
#if CREST_DSP
  if (channel + 4 <= channels && b->rows * b->columns <= MOST_PAIRED) {
    uint32_t even = 0, odd = 0;
    for (int32_t i = 0; i < b->rows; i++, line += b->row_pitch) {
      const int8_t *at = line;
      for (int32_t j = 0; j < b->columns; j++, at += b->column_pitch) {
        uint32_t word;
        __builtin_memcpy(&word, at, 4);
        even = add_even(even, word);
        odd = add_odd(odd, word);
      }
    }
    sums[0] = (int16_t)even;
    sums[1] = (int16_t)odd;
    sums[2] = (int32_t)even >> 16;
    sums[3] = (int32_t)odd >> 16;
    return 4;
  }
#else
  (void)channels;
#endif
  int32_t sum = 0;
  for (int32_t i = 0; i < b->rows; i++, line += b->row_pitch) {
    const int8_t *at = line;
    for (int32_t j = 0; j < b->columns; j++, at += b->column_pitch) sum += *at;
  }
  sums[0] = sum;
  return 1;
}

/* sum / count, halves away from zero. */
static inline int32_t rounded(int32_t sum, int32_t count) {
  return (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
}

void crest_average_pool_s8(const crest_window *w, const int8_t *in, int8_t *out, int32_t act_min, int32_t act_max) {
  for (int32_t y = 0; y < w->out_h; y++) {
    const int32_t top = y * w->stride_h - w->pad_top;
    const int32_t y0 = top < 0 ? 0 : top, y1 = top + w->k_h > w->in_h ? w->in_h : top + w->k_h;
    for (int32_t x = 0; x < w->out_w; x++, out += w->in_c) {
      const int32_t left = x * w->stride_w - w->pad_left;
      const int32_t x0 = left < 0 ? 0 : left, x1 = left + w->k_w > w->in_w ? w->in_w : left + w->k_w;
      const int32_t count = (y1 - y0) * (x1 - x0);
      const block b = {in + (y0 * w->in_w + x0) * w->in_c, y1 - y0, x1 - x0, w->in_w * w->in_c, w->in_c};
      int32_t sums[4], added;
      for (int32_t c = 0; c < w->in_c; c += added) {
        added = sum_channels(&b, c, w->in_c, sums);
        for (int32_t k = 0; k < added; k++) out[c + k] = (int8_t)crest_clamp(rounded(sums[k], count), act_min, act_max);
      }
    }
  }
}

void crest_mean_s8(const crest_mean_s8_params *p, const int8_t *in, int8_t *out) {
  for (int32_t o = 0; o < p->outer; o++, in += p->count * p->inner, out += p->inner) {
    const block b = {in, 1, p->count, 0, p->inner};
    int32_t sums[4], added;
    for (int32_t c = 0; c < p->inner; c += added) {
      added = sum_channels(&b, c, p->inner, sums);
      for (int32_t k = 0; k < added; k++) {
        int32_t value = crest_requantise(sums[k] - p->count * p->in_zero, p->multiplier, p->shift) + p->out_zero;
        out[c + k] = (int8_t)crest_clamp(value, -128, 127);
      }
    }
  }
}
