/* SPDX-License-Identifier: Apache-2.0 */
#include "crest_nn.h"
#include "dot_s8.h"
#include "finish_s8.h"
#include "patch.h"

/* All output channels of one patch. */
static void one_patch(const crest_conv2d_s8_params *p, const int8_t *x, int32_t depth, int8_t *out) {
  const crest_channel *channel = p->channels;
  const int8_t *w = p->weights;
  int32_t c = p->window.out_c;
  for (; c >= 2; c -= 2, channel += 2, out += 2, w += 2 * depth) {
    const int8_t *w1 = w + depth;
    int32_t sum0 = channel[0].bias, sum1 = channel[1].bias;
    int32_t k = 0;
#if CREST_DSP
    for (; k + 4 <= depth; k += 4) {
      crest_quad a = crest_load_quad(x + k);
      sum0 = crest_mac_quad(a, crest_load_quad(w + k), sum0);
      sum1 = crest_mac_quad(a, crest_load_quad(w1 + k), sum1);
    }
#endif
    for (; k < depth; k++) {
      sum0 += x[k] * w[k];
      sum1 += x[k] * w1[k];
    }
    out[0] = crest_finish_s8(p, channel, sum0);
    out[1] = crest_finish_s8(p, channel + 1, sum1);
  }
  if (c) {
    int32_t sum = channel->bias;
    int32_t k = 0;
#if CREST_DSP
    for (; k + 4 <= depth; k += 4) sum = crest_mac_quad(crest_load_quad(x + k), crest_load_quad(w + k), sum);
#endif
    for (; k < depth; k++) sum += x[k] * w[k];
    out[0] = crest_finish_s8(p, channel, sum);
  }
}

#if CREST_DSP
/* All output channels of two patches: a tile of 2 x 2 sums shares each load between two products. */
static void two_patches(const crest_conv2d_s8_params *p, const int8_t *x, const int8_t *y, int32_t depth, int8_t *out) {
  const crest_channel *channel = p->channels;
  const int8_t *w = p->weights;
  int8_t *next = out + p->window.out_c;
  int32_t c = p->window.out_c;
  for (; c >= 2; c -= 2, channel += 2, out += 2, next += 2, w += 2 * depth) {
    const int8_t *w1 = w + depth;
    int32_t x0 = channel[0].bias, x1 = channel[1].bias, y0 = x0, y1 = x1;
    int32_t k = 0;
    for (; k + 4 <= depth; k += 4) {
      crest_quad a = crest_load_quad(x + k), b = crest_load_quad(y + k);
      crest_quad v = crest_load_quad(w + k);
      x0 = crest_mac_quad(a, v, x0);
      y0 = crest_mac_quad(b, v, y0);
      v = crest_load_quad(w1 + k);
      x1 = crest_mac_quad(a, v, x1);
      y1 = crest_mac_quad(b, v, y1);
    }
    for (; k < depth; k++) {
      x0 += x[k] * w[k];
      x1 += x[k] * w1[k];
      y0 += y[k] * w[k];
      y1 += y[k] * w1[k];
    }
    out[0] = crest_finish_s8(p, channel, x0);
    out[1] = crest_finish_s8(p, channel + 1, x1);
    next[0] = crest_finish_s8(p, channel, y0);
    next[1] = crest_finish_s8(p, channel + 1, y1);
  }
  if (c) {
    int32_t x0 = channel->bias, y0 = x0;
    int32_t k = 0;
    for (; k + 4 <= depth; k += 4) {
      crest_quad v = crest_load_quad(w + k);
      x0 = crest_mac_quad(crest_load_quad(x + k), v, x0);
      y0 = crest_mac_quad(crest_load_quad(y + k), v, y0);
    }
    for (; k < depth; k++) {
      x0 += x[k] * w[k];
      y0 += y[k] * w[k];
    }
    out[0] = crest_finish_s8(p, channel, x0);
    next[0] = crest_finish_s8(p, channel, y0);
  }
}
#endif

void crest_conv2d_s8(const crest_conv2d_s8_params *p, const int8_t *in, int8_t *out, int8_t *scratch) {
  const crest_window *w = &p->window;
  const int32_t depth = w->k_h * w->k_w * w->in_c;
#if CREST_DSP
  const int8_t *held = 0;
  for (int32_t y = 0; y < w->out_h; y++) {
    for (int32_t x = 0; x < w->out_w; x++) {
      const int8_t *patch = crest_patch_s8(w, in, y, x, p->in_zero, held ? scratch + depth : scratch);
      if (!held) {
        held = patch;
        continue;
      }
      two_patches(p, held, patch, depth, out);
      out += 2 * w->out_c;
      held = 0;
    }
  }
  if (held) one_patch(p, held, depth, out);
#else
  for (int32_t y = 0; y < w->out_h; y++) {
    for (int32_t x = 0; x < w->out_w; x++, out += w->out_c) {
      one_patch(p, crest_patch_s8(w, in, y, x, p->in_zero, scratch), depth, out);
    }
  }
#endif
}

void crest_dense_s8(const crest_conv2d_s8_params *p, const int8_t *in, int8_t *out) {
  one_patch(p, in, p->window.in_c, out);
}
