/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution and dense layer of int16 whose sums fit 32 bits, or are meant modulo 2^32. Two positions share each load of
 * weights. */
#include "dot_s16.h"
#include "patch_s16.h"
#include "requantise_s16.h"

/* Loops of their own keep what they need in registers. */
#define APART __attribute__((noinline)) static

typedef enum { ONCE, TWICE } rounding;

static inline uint32_t bias_of(const crest_weighted_s16_params *p, rounding r, int32_t c) {
  if (c >= p->window.out_c) return 0;
  if (r == ONCE) return (uint32_t)((const crest_channel_s16 *)p->channels)[c].bias;
  return (uint32_t)((const crest_channel *)p->channels)[c].bias;
}

static inline void finish(const crest_weighted_s16_params *p, rounding r, int32_t c, uint32_t sum, int16_t *out) {
  if (c >= p->window.out_c) return;
  out[c] = r == ONCE ? crest_finish_s16(p, (const crest_channel_s16 *)p->channels + c, (int32_t)sum)
                     : crest_finish_narrow_s16(p, (const crest_channel *)p->channels + c, (int32_t)sum);
}

APART void one_position(const crest_weighted_s16_params *p, rounding r, const int16_t *x, int32_t depth, int16_t *out) {
  const int8_t *w = p->weights;
  for (int32_t c = 0; c < p->window.out_c; c += 2) {
    uint32_t first = bias_of(p, r, c), second = bias_of(p, r, c + 1);
    for (const int16_t *at = x; at < x + depth; at += 4, w += 8) {
      crest_mac_two(at, crest_load_taps(w), &first, &second);
      crest_mac_two(at + 2, crest_load_taps(w + 4), &first, &second);
    }
    finish(p, r, c, first, out);
    finish(p, r, c + 1, second, out);
  }
}

APART void two_positions(const crest_weighted_s16_params *p, rounding r, const int16_t *x0, const int16_t *x1, int32_t depth,
                          int16_t *out) {
  const int8_t *w = p->weights;
  for (int32_t c = 0; c < p->window.out_c; c += 2) {
    uint32_t first0 = bias_of(p, r, c), second0 = bias_of(p, r, c + 1), first1 = first0, second1 = second0;
    const int16_t *a = x0, *b = x1;
    for (; a < x0 + depth; a += 4, b += 4, w += 8) {
      crest_taps_s16 taps = crest_load_taps(w);
      crest_mac_two(a, taps, &first0, &second0);
      crest_mac_two(b, taps, &first1, &second1);
      taps = crest_load_taps(w + 4);
      crest_mac_two(a + 2, taps, &first0, &second0);
      crest_mac_two(b + 2, taps, &first1, &second1);
    }
    finish(p, r, c, first0, out);
    finish(p, r, c + 1, second0, out);
    finish(p, r, c, first1, out + p->window.out_c);
    finish(p, r, c + 1, second1, out + p->window.out_c);
  }
}

APART void convolve(const crest_weighted_s16_params *p, rounding r, const int16_t *in, int16_t *out, int16_t *scratch) {
  const crest_window *w = &p->window;
  const int32_t depth = crest_patch_depth(w), positions = w->out_h * w->out_w;
  crest_patches_s16 patches = crest_patches_of(w, in);
  int32_t position = 0;
  for (; position + 2 <= positions; position += 2, out += 2 * w->out_c) {
    const int16_t *first = crest_next_patch(&patches, scratch);
    two_positions(p, r, first, crest_next_patch(&patches, scratch + depth + 2), depth, out);
  }
  if (position < positions) one_position(p, r, crest_next_patch(&patches, scratch), depth, out);
}

void crest_conv2d_s16(const crest_weighted_s16_params *p, const int16_t *in, int16_t *out, void *scratch) {
  convolve(p, ONCE, in, out, scratch);
}

void crest_conv2d_narrow_s16(const crest_weighted_s16_params *p, const int16_t *in, int16_t *out, void *scratch) {
  convolve(p, TWICE, in, out, scratch);
}
