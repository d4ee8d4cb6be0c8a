// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "Include/arm_nnfunctions.h"
#include "tensorflow/lite/micro/micro_op_resolver.h"

namespace tflite {
TFLMRegistration RegisterOp(TfLiteStatus (*prepare)(TfLiteContext *, TfLiteNode *),
                            TfLiteStatus (*invoke)(TfLiteContext *, TfLiteNode *));
namespace {

TfLiteStatus Prepare(TfLiteContext *context, TfLiteNode *node) {
  const TfLiteTensor &in = context->tensors[node->inputs[0]], &weights = context->tensors[node->inputs[1]];
  const TfLiteTensor &out = context->tensors[node->outputs[0]];
  auto *params = static_cast<stand_in_fc_params *>(context->AllocatePersistentBuffer(context, sizeof(stand_in_fc_params)));
  node->user_data = params;
  if (params == nullptr || in.type != kTfLiteInt8 || weights.scales != 1) return kTfLiteError;
  const double factor = static_cast<double>(in.params.scale) * weights.params.scale / out.params.scale;
  int exponent = 0;
  int64_t fraction = std::llround(std::frexp(factor, &exponent) * (1ll << 31));
  if (fraction == 1ll << 31) {
    fraction /= 2;
    exponent++;
  }
  params->multiplier = static_cast<int32_t>(fraction);
  params->shift = exponent;
  params->in_offset = -in.params.zero_point;
  params->out_offset = out.params.zero_point;
  params->lowest = node->activation == 1 ? std::max<int32_t>(-128, out.params.zero_point) : -128;
  params->depth = static_cast<int32_t>(in.bytes);
  params->units = static_cast<int32_t>(out.bytes);
  return kTfLiteOk;
}

TfLiteStatus Invoke(TfLiteContext *context, TfLiteNode *node) {
  arm_fully_connected_s8(static_cast<const stand_in_fc_params *>(node->user_data),
                         context->tensors[node->inputs[0]].data.int8, context->tensors[node->inputs[1]].data.int8,
                         context->tensors[node->inputs[2]].data.i32, context->tensors[node->outputs[0]].data.int8);
  return kTfLiteOk;
}

}  // namespace

int32_t ParseFullyConnected(flatbuffers::Table options) { return options.Scalar<int8_t>(0, 0); }

TFLMRegistration Register_FULLY_CONNECTED() { return RegisterOp(Prepare, Invoke); }
}  // namespace tflite
