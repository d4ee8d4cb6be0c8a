/* SPDX-License-Identifier: Apache-2.0 */
/* Between the interpreter, which ships, and the harness, which measures it. */
#ifndef CREST_TFLM_H
#define CREST_TFLM_H

#include <stdint.h>

#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

extern "C" {
extern const uint8_t tflm_model[]; /* the .tflite */
extern uint8_t model_arena[];
extern const uint32_t model_arena_bytes;
}

/* The operators of the model as the harness wants the interpreter to see them: with a mark before each. */
const tflite::MicroOpResolver &harness_resolver(const tflite::MicroOpResolver &shipped);

/* Builds the interpreter. Call it once, then AllocateTensors. */
tflite::MicroInterpreter &tflm_interpreter(void);

#endif
