// SPDX-License-Identifier: Apache-2.0
// Stand-in: an interpreter that runs a file operator by operator and never uses memory twice.
#ifndef STAND_IN_INTERPRETER_H
#define STAND_IN_INTERPRETER_H

#include "tensorflow/lite/c/common.h"
#include "tensorflow/lite/micro/micro_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace tflite {

class MicroInterpreter {
 public:
  MicroInterpreter(const Model *model, const MicroOpResolver &op_resolver, uint8_t *tensor_arena,
                   size_t tensor_arena_size);
  ~MicroInterpreter();

  TfLiteStatus AllocateTensors();
  TfLiteStatus Invoke();
  TfLiteTensor *input(size_t index);
  TfLiteTensor *output(size_t index);
  size_t arena_used_bytes() const { return used_; }

 private:
  struct Step {
    TfLiteNode node;
    const TFLMRegistration *registration;
  };

  static void *Persistent(TfLiteContext *context, size_t bytes);
  void *Take(size_t bytes);
  TfLiteStatus PlaceTensors(flatbuffers::Table graph);
  TfLiteStatus FindSteps(flatbuffers::Table graph);

  const Model *model_;
  const MicroOpResolver &resolver_;
  uint8_t *arena_;
  size_t size_, used_ = 0;
  TfLiteContext context_ = {};
  Step *steps_ = nullptr;
  uint32_t step_count_ = 0;
};

}  // namespace tflite

#endif
