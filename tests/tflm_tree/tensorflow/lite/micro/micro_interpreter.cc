// SPDX-License-Identifier: Apache-2.0
#include "tensorflow/lite/micro/micro_interpreter.h"

#include <algorithm>

size_t ElementBytes(TfLiteType type);

namespace tflite {

using flatbuffers::Table;
using flatbuffers::TableAt;
using flatbuffers::Vector;

MicroInterpreter::MicroInterpreter(const Model *model, const MicroOpResolver &op_resolver, uint8_t *tensor_arena,
                                   size_t tensor_arena_size)
    : model_(model), resolver_(op_resolver), arena_(tensor_arena), size_(tensor_arena_size) {
  context_.impl_ = this;
  context_.AllocatePersistentBuffer = Persistent;
}

MicroInterpreter::~MicroInterpreter() {}

void *MicroInterpreter::Persistent(TfLiteContext *context, size_t bytes) {
  return static_cast<MicroInterpreter *>(context->impl_)->Take(bytes);
}

void *MicroInterpreter::Take(size_t bytes) {
  const size_t whole = (bytes + 15) / 16 * 16;
  if (whole > size_ - used_) return nullptr;
  used_ += whole;
  return arena_ + used_ - whole;
}

TfLiteStatus MicroInterpreter::PlaceTensors(Table graph) {
  const Vector<uint32_t> tensors{graph.Target(0)};
  context_.tensors = static_cast<TfLiteTensor *>(Take(sizeof(TfLiteTensor) * tensors.size()));
  if (context_.tensors == nullptr) return kTfLiteError;
  for (uint32_t i = 0; i < tensors.size(); i++) {
    const Table raw = TableAt(tensors, i), quantization{raw.Target(4)};
    const Vector<int32_t> shape{raw.Target(0)};
    const Vector<uint8_t> content{TableAt(model_->buffers(), raw.Scalar<uint32_t>(2, 0)).Target(0)};
    TfLiteTensor &tensor = context_.tensors[i];
    tensor = {};
    tensor.type = raw.Scalar<int8_t>(1, 0) == 9 ? kTfLiteInt8 : kTfLiteInt32;
    tensor.bytes = ElementBytes(tensor.type);
    for (uint32_t axis = 0; axis < shape.size(); axis++) tensor.bytes *= shape[axis];
    if (quantization.at != nullptr) {
      const Vector<float> scale{quantization.Target(2)};
      const Vector<int64_t> zero_point{quantization.Target(3)};
      tensor.scales = scale.size();
      if (tensor.scales) tensor.params = {scale[0], static_cast<int32_t>(zero_point.size() ? zero_point[0] : 0)};
    }
    tensor.data.data = content.size() ? const_cast<uint8_t *>(content.data()) : Take(tensor.bytes);
    if (tensor.data.data == nullptr) return kTfLiteError;
  }
  return kTfLiteOk;
}

TfLiteStatus MicroInterpreter::FindSteps(Table graph) {
  const Vector<uint32_t> operators{graph.Target(3)};
  steps_ = static_cast<Step *>(Take(sizeof(Step) * operators.size()));
  if (steps_ == nullptr) return kTfLiteError;
  step_count_ = operators.size();
  for (uint32_t i = 0; i < step_count_; i++) {
    const Table raw = TableAt(operators, i), code = TableAt(model_->operator_codes(), raw.Scalar<uint32_t>(0, 0));
    const auto op = static_cast<BuiltinOperator>(
        std::max(code.Scalar<int32_t>(3, 0), static_cast<int32_t>(code.Scalar<int8_t>(0, 0))));
    steps_[i].registration = resolver_.FindOp(op);
    if (steps_[i].registration == nullptr) return kTfLiteError;
    steps_[i].node = {Vector<int32_t>{raw.Target(1)}.data(), Vector<int32_t>{raw.Target(2)}.data(), nullptr, 0};
    if (raw.Target(4) != nullptr) steps_[i].node.activation = resolver_.GetOpDataParser(op)({raw.Target(4)});
  }
  return kTfLiteOk;
}

TfLiteStatus MicroInterpreter::AllocateTensors() {
  const Table graph = model_->subgraph();
  if (PlaceTensors(graph) != kTfLiteOk || FindSteps(graph) != kTfLiteOk) return kTfLiteError;
  for (uint32_t i = 0; i < step_count_; i++) {
    const auto prepare = steps_[i].registration->prepare;
    if (prepare != nullptr && prepare(&context_, &steps_[i].node) != kTfLiteOk) return kTfLiteError;
  }
  // As with the real one, planning may take more than what is in use afterwards.
  return size_ - used_ < 24 * step_count_ ? kTfLiteError : kTfLiteOk;
}

TfLiteStatus MicroInterpreter::Invoke() {
  for (uint32_t i = 0; i < step_count_; i++) {
    if (steps_[i].registration->invoke(&context_, &steps_[i].node) != kTfLiteOk) return kTfLiteError;
  }
  return kTfLiteOk;
}

TfLiteTensor *MicroInterpreter::input(size_t index) {
  return &context_.tensors[Vector<int32_t>{model_->subgraph().Target(1)}[index]];
}

TfLiteTensor *MicroInterpreter::output(size_t index) {
  return &context_.tensors[Vector<int32_t>{model_->subgraph().Target(2)}[index]];
}

}  // namespace tflite
