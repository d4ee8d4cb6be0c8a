// SPDX-License-Identifier: Apache-2.0
#include "tensorflow/lite/micro/micro_op_resolver.h"

namespace tflite {
TFLMRegistration RegisterOp(TfLiteStatus (*prepare)(TfLiteContext *, TfLiteNode *),
                            TfLiteStatus (*invoke)(TfLiteContext *, TfLiteNode *));
namespace {

TfLiteStatus Refuse(TfLiteContext *, TfLiteNode *) { return kTfLiteError; }

}  // namespace

TFLMRegistration Register_TANH() { return RegisterOp(Refuse, Refuse); }
}  // namespace tflite
