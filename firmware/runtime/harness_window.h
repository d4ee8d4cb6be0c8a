/* SPDX-License-Identifier: Apache-2.0 */
/* What is measured: everything between the marks that open and close the latency window. */
#ifndef CREST_WINDOW_H
#define CREST_WINDOW_H

#include <stdint.h>

#include "io.h"
#include "memory_ops.h"

#define MARK_OVERHEAD 0xFFFFFFFDu
#define MARK_BEGIN 0xFFFFFFFEu
#define MARK_END 0xFFFFFFFFu

void crest_layer_mark(uint32_t layer);

/* Where the application keeps its sensor window and takes its result; sized by the generated code. */
extern uint8_t harness_input[], harness_output[];
extern const uint32_t harness_input_bytes, harness_output_bytes;

/* The latency window: input copy, invoke, output copy. */
static inline void run_once(void) {
  crest_layer_mark(MARK_BEGIN);
  const uint8_t *from = harness_input;
  for (uint32_t i = 0; i < model_input_count; from += model_inputs[i++].bytes) {
    memcpy(model_inputs[i].address, from, model_inputs[i].bytes);
  }
  model_run();
  crest_layer_mark(MARK_OVERHEAD);
  uint8_t *to = harness_output;
  for (uint32_t i = 0; i < model_output_count; to += model_outputs[i++].bytes) {
    memcpy(to, model_outputs[i].address, model_outputs[i].bytes);
  }
  crest_layer_mark(MARK_END);
}

#endif
