/* SPDX-License-Identifier: Apache-2.0 */
/* Between images and a batch of the grids that they interleave. */
#include "crest_nn.h"
#include "memory_ops.h"

/* Walks through the grids; pixels beyond the image are filled there, and have nowhere to go from there. */
static inline void exchange(const crest_space_batch_params *p, int8_t *grids, int8_t *images, int32_t to_grids) {
  const uint32_t bytes = (uint32_t)p->pixel_bytes;
  for (int32_t grid_y = 0; grid_y < p->block_h; grid_y++) {
    for (int32_t grid_x = 0; grid_x < p->block_w; grid_x++) {
      for (int32_t image = 0; image < p->images; image++) {
        for (int32_t row = 0, y = grid_y - p->before_h; row < p->grid_h; row++, y += p->block_h) {
          for (int32_t column = 0, x = grid_x - p->before_w; column < p->grid_w; column++, x += p->block_w) {
            const int32_t inside = y >= 0 && y < p->image_h && x >= 0 && x < p->image_w;
            int8_t *pixel = inside ? images + ((image * p->image_h + y) * p->image_w + x) * p->pixel_bytes : images;
            if (to_grids && !inside) memset(grids, p->fill, bytes);
            if (to_grids && inside) memcpy(grids, pixel, bytes);
            if (!to_grids && inside) memcpy(pixel, grids, bytes);
            grids += bytes;
          }
        }
      }
    }
  }
}

void crest_space_to_batch(const crest_space_batch_params *p, const void *in, void *out) {
  exchange(p, out, (int8_t *)in, 1);
}

void crest_batch_to_space(const crest_space_batch_params *p, const void *in, void *out) {
  exchange(p, (int8_t *)in, out, 0);
}
