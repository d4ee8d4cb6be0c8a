// SPDX-License-Identifier: Apache-2.0
// Stand-in: a resolver that operators are added to.
#ifndef STAND_IN_MUTABLE_OP_RESOLVER_H
#define STAND_IN_MUTABLE_OP_RESOLVER_H

#include "tensorflow/lite/micro/compatibility.h"
#include "tensorflow/lite/micro/micro_op_resolver.h"

namespace tflite {

TFLMRegistration Register_FULLY_CONNECTED();
TFLMRegistration Register_RESHAPE();
TFLMRegistration Register_TANH();
int32_t ParseFullyConnected(flatbuffers::Table options);
int32_t ParseNothing(flatbuffers::Table options);

template <unsigned int tOpCount>
class MicroMutableOpResolver : public MicroOpResolver {
 public:
  TF_LITE_REMOVE_VIRTUAL_DELETE

  explicit MicroMutableOpResolver() {}

  const TFLMRegistration *FindOp(BuiltinOperator op) const override {
    for (unsigned int i = 0; i < count_; ++i) {
      if (registrations_[i].builtin_code == op) return &registrations_[i];
    }
    return nullptr;
  }
  const TFLMRegistration *FindOp(const char *) const override { return nullptr; }
  TfLiteBridgeBuiltinParseFunction GetOpDataParser(BuiltinOperator op) const override {
    for (unsigned int i = 0; i < count_; ++i) {
      if (registrations_[i].builtin_code == op) return parsers_[i];
    }
    return nullptr;
  }

  TfLiteStatus AddFullyConnected(
      const TFLMRegistration &registration = Register_FULLY_CONNECTED()) {
    return AddBuiltin(BuiltinOperator_FULLY_CONNECTED, registration,
                      ParseFullyConnected);
  }

  TfLiteStatus AddReshape(const TFLMRegistration &registration = Register_RESHAPE()) {
    return AddBuiltin(BuiltinOperator_RESHAPE, registration, ParseNothing);
  }

  TfLiteStatus AddTanh() {
    return AddBuiltin(BuiltinOperator_TANH, tflite::Register_TANH(), ParseNothing);
  }

 private:
  TfLiteStatus AddBuiltin(BuiltinOperator op, const TFLMRegistration &registration,
                          TfLiteBridgeBuiltinParseFunction parser) {
    if (count_ == tOpCount) return kTfLiteError;
    registrations_[count_] = registration;
    registrations_[count_].builtin_code = op;
    parsers_[count_++] = parser;
    return kTfLiteOk;
  }

  TFLMRegistration registrations_[tOpCount];
  TfLiteBridgeBuiltinParseFunction parsers_[tOpCount];
  unsigned int count_ = 0;
};

}  // namespace tflite

#endif
