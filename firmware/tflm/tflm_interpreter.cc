// SPDX-License-Identifier: Apache-2.0
// What an application needs to run the model with TFLite Micro: exactly its operators, and an interpreter.
#include <new>

#include "tflm.h"
#include "tflm_operators.h"

namespace {
using Resolver = tflite::MicroMutableOpResolver<TFLM_KINDS>;

// Raw memory: constructors run when they are called, and there is no end of the program to destroy anything.
alignas(Resolver) uint8_t resolver_memory[sizeof(Resolver)];
alignas(tflite::MicroInterpreter) uint8_t interpreter_memory[sizeof(tflite::MicroInterpreter)];
}  // namespace

tflite::MicroInterpreter &tflm_interpreter(void) {
  Resolver *resolver = new (resolver_memory) Resolver();
#define ADD(method, kind) resolver->method();
  TFLM_EACH_KIND(ADD)
#undef ADD
  return *new (interpreter_memory) tflite::MicroInterpreter(tflite::GetModel(tflm_model), harness_resolver(*resolver),
                                                            model_arena, model_arena_bytes);
}
