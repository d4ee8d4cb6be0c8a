/* SPDX-License-Identifier: Apache-2.0 */
/* What the measuring firmware and the host library need to know of the model in generated code. */
#ifndef CREST_IO_H
#define CREST_IO_H

#include <stdint.h>

typedef struct {
  void *address;
  uint32_t bytes;
} crest_io;

#ifdef CREST_INTERPRETED /* an interpreter decides where its tensors lie */
#define CREST_IO_TABLE
void model_prepare(void); /* once, before the first model_run */
#else
#define CREST_IO_TABLE const
#endif

extern CREST_IO_TABLE crest_io model_inputs[], model_outputs[];
extern const uint32_t model_input_count, model_output_count;
extern const uint8_t model_id[8];

void model_run(void);

#endif
