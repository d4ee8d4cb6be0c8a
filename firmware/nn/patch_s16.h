/* SPDX-License-Identifier: Apache-2.0 */
/* Patches of int16 elements: two bytes are gathered as two channels are, and padding is zero. */
#ifndef CREST_PATCH_S16_H
#define CREST_PATCH_S16_H

#include <stdint.h>

#include "crest_nn.h"
#include "patch.h"

/* Gathers the patches of a window one after another. */
typedef struct {
  crest_window bytes;
  const int8_t *in;
  int32_t y, x;
} crest_patches_s16;

static inline crest_patches_s16 crest_patches_of(const crest_window *w, const int16_t *in) {
  crest_patches_s16 patches = {*w, (const int8_t *)in, 0, 0};
  patches.bytes.in_c *= 2;
  return patches;
}

/* The patch of the next position; scratch is as that of crest_patch_s8. */
__attribute__((noinline)) static const int16_t *crest_next_patch(crest_patches_s16 *p, void *scratch) {
  const int8_t *patch = crest_patch_s8(&p->bytes, p->in, p->y, p->x, 0, scratch);
  if (++p->x == p->bytes.out_w) p->x = 0, p->y++;
  return (const int16_t *)(const void *)patch;
}

/* Taps of a patch, filled up to groups of four. */
static inline int32_t crest_patch_depth(const crest_window *w) { return (w->k_h * w->k_w * w->in_c + 3) & ~3; }

#endif
