/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution with requantization that is exact for every sum: for the few layers whose factors or sums are
 * too large for the quick kernels. */
#include "crest_nn.h"
#include "patch.h"
#include "requantise.h"

static void one_patch(const crest_wide_s8_params *p, const int8_t *x, int32_t depth, int8_t *out) {
  const int8_t *w = p->weights;
  for (int32_t c = 0; c < p->window.out_c; c++) {
    int32_t sum = p->channels[c].bias;
    for (int32_t k = 0; k < depth; k++) sum += x[k] * *w++;
    out[c] = crest_finish_wide_s8(p, c, sum);
  }
}

void crest_conv2d_wide_s8(const crest_wide_s8_params *p, const int8_t *in, int8_t *out, int8_t *scratch) {
  const crest_window *w = &p->window;
  const int32_t depth = w->k_h * w->k_w * w->in_c;
  for (int32_t y = 0; y < w->out_h; y++) {
    for (int32_t x = 0; x < w->out_w; x++, out += w->out_c) {
      one_patch(p, crest_patch_s8(w, in, y, x, p->in_zero, scratch), depth, out);
    }
  }
}
