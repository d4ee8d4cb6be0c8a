// SPDX-License-Identifier: Apache-2.0
// Stand-in: shared by operators.
#include "tensorflow/lite/micro/micro_op_resolver.h"

namespace tflite {

int32_t ParseNothing(flatbuffers::Table) { return 0; }

TFLMRegistration RegisterOp(TfLiteStatus (*prepare)(TfLiteContext *, TfLiteNode *),
                            TfLiteStatus (*invoke)(TfLiteContext *, TfLiteNode *)) {
  return {nullptr, nullptr, prepare, invoke, nullptr, 0, nullptr};
}

}  // namespace tflite
