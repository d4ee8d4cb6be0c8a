// SPDX-License-Identifier: Apache-2.0
// Stand-in: how the interpreter finds operators.
#ifndef STAND_IN_OP_RESOLVER_H
#define STAND_IN_OP_RESOLVER_H

#include "tensorflow/lite/c/common.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace tflite {

using TfLiteBridgeBuiltinParseFunction = int32_t (*)(flatbuffers::Table options);

class MicroOpResolver {
 public:
  virtual ~MicroOpResolver() {}
  virtual const TFLMRegistration *FindOp(BuiltinOperator op) const = 0;
  virtual const TFLMRegistration *FindOp(const char *op) const = 0;
  virtual TfLiteBridgeBuiltinParseFunction GetOpDataParser(BuiltinOperator op) const = 0;
};

}  // namespace tflite

#endif
