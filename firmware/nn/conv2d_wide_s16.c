/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution and dense layer of int16 with sums of 64 bits. */
#include "dot_s16.h"
#include "patch_s16.h"
#include "requantise_s16.h"

static void one_position(const crest_weighted_s16_params *p, const int16_t *x, int32_t depth, int16_t *out) {
  const crest_wide_channel_s16 *channel = p->channels;
  const int8_t *w = p->weights;
  for (int32_t left = p->window.out_c; left > 0; left -= 2) {
    int64_t first = 0, second = 0;
    for (int32_t k = 0; k < depth; k += 2, w += 4) crest_mac_two_wide(x + k, crest_load_taps(w), &first, &second);
    *out++ = crest_finish_wide_s16(p, channel, first + channel->bias);
    channel++;
    if (left == 1) return;
    *out++ = crest_finish_wide_s16(p, channel, second + channel->bias);
    channel++;
  }
}

void crest_conv2d_wide_s16(const crest_weighted_s16_params *p, const int16_t *in, int16_t *out, void *scratch) {
  const crest_window *w = &p->window;
  crest_patches_s16 patches = crest_patches_of(w, in);
  for (int32_t left = w->out_h * w->out_w; left > 0; left--, out += w->out_c) {
    one_position(p, crest_next_patch(&patches, scratch), crest_patch_depth(w), out);
  }
}
