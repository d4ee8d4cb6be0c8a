/* SPDX-License-Identifier: Apache-2.0 */
/* Operators that only move elements. */
#include "crest_nn.h"
#include "memory_ops.h"

void crest_gather(const crest_gather_params *p, const void *in, void *out) {
  const int8_t *from = (const int8_t *)in + p->offset_bytes;
  const int32_t run = p->run_bytes, step = p->step_bytes[3];
  int8_t *to = out;
  for (int32_t a = 0; a < p->count[0]; a++) {
    for (int32_t b = 0; b < p->count[1]; b++) {
      for (int32_t c = 0; c < p->count[2]; c++) {
        const int8_t *line = from + a * p->step_bytes[0] + b * p->step_bytes[1] + c * p->step_bytes[2];
        int32_t left = p->count[3];
        /* Single elements are moved without a call. */
        if (run == 1) {
          for (; left > 0; left--, line += step) *to++ = *line;
        } else if (run == 4) {
          for (; left > 0; left--, line += step, to += 4) __builtin_memcpy(to, line, 4);
        } else {
          for (; left > 0; left--, line += step, to += run) memcpy(to, line, (uint32_t)run);
        }
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

void crest_concatenate(const crest_parts *p, const void *const *in, void *out) {
  int8_t *to = out;
  for (int32_t row = 0; row < p->rows; row++) {
    for (int32_t part = 0; part < p->parts; part++) {
      const int32_t bytes = p->row_bytes[part];
      memcpy(to, (const int8_t *)in[part] + row * bytes, (uint32_t)bytes);
      to += bytes;
    }
  }
}

void crest_split(const crest_parts *p, const void *in, void *const *out) {
  const int8_t *from = in;
  for (int32_t row = 0; row < p->rows; row++) {
    for (int32_t part = 0; part < p->parts; part++) {
      const int32_t bytes = p->row_bytes[part];
      memcpy((int8_t *)out[part] + row * bytes, from, (uint32_t)bytes);
      from += bytes;
    }
  }
}
