/* SPDX-License-Identifier: Apache-2.0 */
/* The model as a host library: the same kernels, run over many inputs. */
#include "io.h"
#include "memory_ops.h"

void crest_layer_mark(uint32_t layer) { (void)layer; }

/* inputs: count times all inputs of the model, concatenated; outputs likewise. */
void crest_evaluate(const uint8_t *inputs, uint8_t *outputs, long count) {
  for (long n = 0; n < count; n++) {
    for (uint32_t i = 0; i < model_input_count; inputs += model_inputs[i++].bytes) {
      memcpy(model_inputs[i].address, inputs, model_inputs[i].bytes);
    }
    model_run();
    for (uint32_t i = 0; i < model_output_count; outputs += model_outputs[i++].bytes) {
      memcpy(outputs, model_outputs[i].address, model_outputs[i].bytes);
    }
  }
}
