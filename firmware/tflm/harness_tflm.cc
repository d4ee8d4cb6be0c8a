// SPDX-License-Identifier: Apache-2.0
// The measuring harness around TFLite Micro: layer marks, tensor addresses, and what the host asks of the interpreter.
//
// Release builds of TFLite Micro leave the calls of the profiler out. So the interpreter is given a copy of each
// operator whose functions mark the layer and then call the real ones; operators run in the order of the file.
#include <new>
#include <type_traits>
#include <utility>

#include "tflm.h"
#include "tflm_operators.h"

extern "C" {
#include "io.h"

void crest_layer_mark(uint32_t layer);
void crest_fault(void);
extern void (*const crest_init_start[])(void), (*const crest_init_end[])(void); // from the linker

crest_io model_inputs[TFLM_INPUTS], model_outputs[TFLM_OUTPUTS];

// Read by the host out of RAM once the firmware waits for it.
struct {
  uint32_t stage;            // how far model_prepare came, see below
  uint32_t prepared;         // operators whose preparation has begun
  uint32_t refused;          // 1 when the last of these could not be prepared
  uint32_t arena_used_bytes; // what the interpreter says it needs
  uint32_t stack_pointer;    // where the stack of the interpreter begins
} volatile tflm_report;
}

namespace {
enum { STAGE_CONSTRUCT = 1, STAGE_ALLOCATE, STAGE_REFUSED, STAGE_INVOKE, STAGE_READY };

using Base = tflite::MicroOpResolver;
using Found = decltype(std::declval<const Base &>().FindOp(tflite::BuiltinOperator_ADD));
using Parser = decltype(std::declval<const Base &>().GetOpDataParser(tflite::BuiltinOperator_ADD));
using Registration = std::remove_const_t<std::remove_pointer_t<Found>>;

#define KIND(method, kind) tflite::BuiltinOperator_##kind,
const tflite::BuiltinOperator kinds[TFLM_KINDS] = {TFLM_EACH_KIND(KIND)};
#undef KIND
const uint8_t kind_of_layer[TFLM_LAYERS] = {TFLM_KIND_OF_LAYER};

Registration originals[TFLM_KINDS], marked[TFLM_KINDS];
uint32_t next_layer;
tflite::MicroInterpreter *interpreter;

const Registration &original_of(uint32_t layer) {
  if (layer >= TFLM_LAYERS) crest_fault();
  return originals[kind_of_layer[layer]];
}

TfLiteStatus marked_prepare(TfLiteContext *context, TfLiteNode *node) {
  const uint32_t layer = tflm_report.prepared;
  tflm_report.prepared = layer + 1;
  const auto prepare = original_of(layer).prepare;
  const TfLiteStatus status = prepare ? prepare(context, node) : kTfLiteOk;
  tflm_report.refused = status != kTfLiteOk;
  return status;
}

TfLiteStatus marked_invoke(TfLiteContext *context, TfLiteNode *node) {
  const uint32_t layer = next_layer++;
  crest_layer_mark(layer);
  return original_of(layer).invoke(context, node);
}

class MarkingResolver : public Base {
 public:
  TF_LITE_REMOVE_VIRTUAL_DELETE

  explicit MarkingResolver(const Base &shipped) : shipped_(shipped) {}

  Found FindOp(tflite::BuiltinOperator op) const override {
    for (uint32_t kind = 0; kind < TFLM_KINDS; kind++) {
      const Found found = kinds[kind] == op ? shipped_.FindOp(op) : nullptr;
      if (found == nullptr) continue;
      originals[kind] = marked[kind] = *found;
      marked[kind].prepare = marked_prepare;
      marked[kind].invoke = marked_invoke;
      return &marked[kind];
    }
    return nullptr;
  }
  Found FindOp(const char *name) const override { return shipped_.FindOp(name); }
  Parser GetOpDataParser(tflite::BuiltinOperator op) const override { return shipped_.GetOpDataParser(op); }

 private:
  const Base &shipped_;
};
alignas(MarkingResolver) uint8_t resolver_memory[sizeof(MarkingResolver)];

void locate(const TfLiteTensor *tensor, crest_io *io) {
  io->address = tensor->data.data;
  io->bytes = static_cast<uint32_t>(tensor->bytes);
}
}  // namespace

const Base &harness_resolver(const Base &shipped) { return *new (resolver_memory) MarkingResolver(shipped); }

extern "C" {
void model_run(void) {
  next_layer = 0;
  if (interpreter->Invoke() != kTfLiteOk) crest_fault();
}

void model_prepare(void) {
  tflm_report.stack_pointer = reinterpret_cast<uint32_t>(__builtin_frame_address(0));
  tflm_report.stage = STAGE_CONSTRUCT;
  for (auto constructor = crest_init_start; constructor != crest_init_end; constructor++) (*constructor)();
  interpreter = &tflm_interpreter();
  tflm_report.stage = STAGE_ALLOCATE;
  if (interpreter->AllocateTensors() != kTfLiteOk) {
    tflm_report.stage = STAGE_REFUSED;
    crest_fault();
  }
  tflm_report.arena_used_bytes = static_cast<uint32_t>(interpreter->arena_used_bytes());
  for (uint32_t i = 0; i < TFLM_INPUTS; i++) locate(interpreter->input(i), &model_inputs[i]);
  for (uint32_t i = 0; i < TFLM_OUTPUTS; i++) locate(interpreter->output(i), &model_outputs[i]);
  tflm_report.stage = STAGE_INVOKE;
  model_run(); // an operator that cannot run is known before the first measurement, and the stack has seen one run
  tflm_report.stage = STAGE_READY;
}

// Without a run-time library of C++: nothing is destroyed, and nothing that is abstract is called.
void __cxa_pure_virtual(void) { crest_fault(); }
void abort(void) {
  crest_fault();
  for (;;) {
  }
}
}

void operator delete(void *) noexcept {}
void operator delete(void *, std::size_t) noexcept {}
