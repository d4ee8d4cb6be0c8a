/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise convolution. Every tap of a patch is an offset from a base address, so that padding, stride and dilation are
 * settled once per position and the loops over channels do not know them: a padding tap leads to a row of zero points. */
#include "bounds_s8.h"
#include "crest_nn.h"
#include "dot_s8.h"
#include "memory_ops.h"
#include "requantise.h"

/* Inlined into their caller, these loops would share the registers with its variables, and spill. */
#define OWN_FRAME __attribute__((noinline))

typedef struct {
  const int8_t *base;     /* what the offsets count from, at channel 0 */
  const int32_t *offsets; /* of each tap */
  int32_t count;
} taps;

/* One output channel from one input channel. */
static int32_t one_sum(const taps *t, int32_t from, const int8_t *w, int32_t pitch, int32_t sum) {
  const int8_t *base = t->base + from;
  for (int32_t i = 0; i < t->count; i++, w += pitch) sum += base[t->offsets[i]] * *w;
  return sum;
}

/* Every channel of one position. */
OWN_FRAME static void all_channels(const crest_weighted_s8_params *p, const taps *t, int8_t *out) {
  const int32_t channels = p->window.out_c;
  const int8_t *weights = p->weights;
  crest_finish finish = crest_finish_start(p);
  int32_t c = 0;
#if CREST_DSP
  for (; c + 4 <= channels; c += 4) {
    const int8_t *base = t->base + c, *w = weights + c;
    const int32_t *offset = t->offsets, *end = offset + t->count;
    const int32_t *bias = finish.bias;
    int32_t s0 = bias[0] >> 5, s1 = bias[1] >> 5, s2 = bias[2] >> 5, s3 = bias[3] >> 5;
    for (; offset != end; offset++, w += channels) {
      crest_quad x = crest_load_quad(base + *offset), v = crest_load_quad(w);
      s0 = __smlabb(x.even, v.even, s0);
      s1 = __smlabb(x.odd, v.odd, s1);
      s2 = __smlatt(x.even, v.even, s2);
      s3 = __smlatt(x.odd, v.odd, s3);
    }
    out[c] = crest_finish_next(&finish, s0);
    out[c + 1] = crest_finish_next(&finish, s1);
    out[c + 2] = crest_finish_next(&finish, s2);
    out[c + 3] = crest_finish_next(&finish, s3);
  }
#else
  for (; c + 2 <= channels; c += 2) {
    const int8_t *base = t->base + c, *w = weights + c;
    const int32_t *offset = t->offsets, *end = offset + t->count;
    int32_t s0 = finish.bias[0] >> 5, s1 = finish.bias[1] >> 5;
    for (; offset != end; offset++, w += channels) {
      const int8_t *x = base + *offset;
      s0 += x[0] * w[0];
      s1 += x[1] * w[1];
    }
    out[c] = crest_finish_next(&finish, s0);
    out[c + 1] = crest_finish_next(&finish, s1);
  }
#endif
  for (; c < channels; c++) {
    out[c] = crest_finish_next(&finish, one_sum(t, c, weights + c, channels, crest_finish_bias(&finish)));
  }
}

/* Offsets of the taps of a patch that reaches beyond the input, from the input's first element. */
OWN_FRAME static void border_offsets(const crest_window *w, int32_t top, int32_t left, int32_t padding, int32_t *offset) {
  for (int32_t i = 0; i < w->k_h; i++) {
    const int32_t y = top + i * w->dilation_h;
    for (int32_t j = 0; j < w->k_w; j++) {
      const int32_t x = left + j * w->dilation_w;
      const int outside = y < 0 || y >= w->in_h || x < 0 || x >= w->in_w;
      *offset++ = outside ? padding : (y * w->in_w + x) * w->in_c;
    }
  }
}

void crest_depthwise_s8(const crest_weighted_s8_params *p, const int8_t *in, int8_t *out, int8_t *scratch) {
  const crest_window *w = &p->window;
  const int32_t count = w->k_h * w->k_w;
  const int32_t reach_h = (w->k_h - 1) * w->dilation_h, reach_w = (w->k_w - 1) * w->dilation_w;
  int32_t *inner = (int32_t *)scratch, *border = inner + count;
  int8_t *zeros = (int8_t *)(border + count);
  /* Seen from the first element of a patch that lies inside, its taps are where those of the patch at 0, 0 are. */
  for (int32_t i = 0, at = 0; i < w->k_h; i++) {
    for (int32_t j = 0; j < w->k_w; j++) inner[at++] = (i * w->dilation_h * w->in_w + j * w->dilation_w) * w->in_c;
  }
  memset(zeros, p->in_zero, (uint32_t)w->in_c);
  for (int32_t y = 0; y < w->out_h; y++) {
    const int32_t top = y * w->stride_h - w->pad_top;
    for (int32_t x = 0; x < w->out_w; x++, out += w->out_c) {
      const int32_t left = x * w->stride_w - w->pad_left;
      taps t = {in + (top * w->in_w + left) * w->in_c, inner, count};
      if (top < 0 || left < 0 || top + reach_h >= w->in_h || left + reach_w >= w->in_w) {
        border_offsets(w, top, left, (int32_t)(zeros - in), border);
        t.base = in;
        t.offsets = border;
      }
      all_channels(p, &t, out);
    }
  }
  crest_bound_s8(out - w->out_h * w->out_w * w->out_c, w->out_h * w->out_w * w->out_c, p->act_min, p->act_max);
}
