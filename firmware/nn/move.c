/* SPDX-License-Identifier: Apache-2.0 */
/* Operators that only move elements. */
#include "crest_nn.h"
#include "memory_ops.h"

void crest_slice(const crest_slice_params *p, const void *in, void *out) {
  const int8_t *from = (const int8_t *)in + p->offset * p->element_bytes;
  const int32_t size = p->element_bytes;
  /* The innermost axis is one copy where its elements are neighbours. */
  const int32_t run = p->stride[3] == 1 ? p->count[3] * size : size;
  const int32_t runs = p->stride[3] == 1 ? 1 : p->count[3];
  int8_t *to = out;
  for (int32_t a = 0; a < p->count[0]; a++) {
    for (int32_t b = 0; b < p->count[1]; b++) {
      for (int32_t c = 0; c < p->count[2]; c++) {
        const int8_t *line = from + (a * p->stride[0] + b * p->stride[1] + c * p->stride[2]) * size;
        for (int32_t d = 0; d < runs; d++, to += run) memcpy(to, line + d * p->stride[3] * size, (uint32_t)run);
      }
    }
  }
}

void crest_pad(const crest_pad_params *p, const void *in, void *out) {
  const int32_t size = p->element_bytes, line = p->in[3] * size;
  const int8_t *from = in;
  memset(out, p->fill, (uint32_t)(p->out[0] * p->out[1] * p->out[2] * p->out[3] * size));
  for (int32_t a = 0; a < p->in[0]; a++) {
    for (int32_t b = 0; b < p->in[1]; b++) {
      for (int32_t c = 0; c < p->in[2]; c++, from += line) {
        int32_t at = ((a + p->before[0]) * p->out[1] + b + p->before[1]) * p->out[2] + c + p->before[2];
        memcpy((int8_t *)out + (at * p->out[3] + p->before[3]) * size, from, (uint32_t)line);
      }
    }
  }
}
