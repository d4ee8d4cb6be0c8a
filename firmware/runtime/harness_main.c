/* SPDX-License-Identifier: Apache-2.0 */
/* Answers the host: loads an input, runs the model in a latency window, returns the outputs. */
#include "board.h"
#include "harness_cadence.h"
#include "harness_protocol.h"
#include "io.h"
#include "memory_ops.h"

#define MARK_OVERHEAD 0xFFFFFFFDu
#define MARK_BEGIN 0xFFFFFFFEu
#define MARK_END 0xFFFFFFFFu

/* A layer begins at the entry of this function; the argument stays in r0. */
__attribute__((noinline)) void crest_layer_mark(uint32_t layer) { __asm__ volatile("" ::"r"(layer) : "memory"); }

/* Where the application keeps its sensor window and takes its result; sized by the generated code. */
extern uint8_t harness_input[], harness_output[];
extern const uint32_t harness_input_bytes, harness_output_bytes;

void harness_main(void);

/* The latency window: input copy, invoke, output copy. */
static void run_once(void) {
  crest_layer_mark(MARK_BEGIN);
  const uint8_t *from = harness_input;
  for (uint32_t i = 0; i < model_input_count; from += model_inputs[i++].bytes) {
    memcpy(model_inputs[i].address, from, model_inputs[i].bytes);
  }
  model_run();
  crest_layer_mark(MARK_OVERHEAD);
  uint8_t *to = harness_output;
  for (uint32_t i = 0; i < model_output_count; to += model_outputs[i++].bytes) {
    memcpy(to, model_outputs[i].address, model_outputs[i].bytes);
  }
  crest_layer_mark(MARK_END);
}

static void answer_hello(crest_frame *frame) {
  frame->length = 0;
  put_u32(frame, PROTOCOL_VERSION);
  put_u32(frame, board_clock_hz());
  put_u32(frame, harness_input_bytes);
  put_u32(frame, harness_output_bytes);
  memcpy(frame->payload + frame->length, model_id, sizeof model_id);
  frame->length += sizeof model_id;
}

static void answer_load(crest_frame *frame) {
  if (frame->length < 4) return answer_error(frame, ERROR_LENGTH);
  uint32_t offset = get_u32(frame, 0), bytes = frame->length - 4;
  if (offset > harness_input_bytes || bytes > harness_input_bytes - offset) return answer_error(frame, ERROR_RANGE);
  memcpy(harness_input + offset, frame->payload + 4, bytes);
  frame->length = 0;
}

/* The same code runs the windows of both requests, so that they take the same time. */
static void answer_run(crest_frame *frame, int cadenced) {
  if (frame->length != (cadenced ? 16u : 4u)) return answer_error(frame, ERROR_LENGTH);
  uint32_t count = get_u32(frame, 0);
  if (cadenced) {
    uint8_t error = cadence_begin(get_u32(frame, 4), get_u32(frame, 8), get_u32(frame, 12));
    if (error) return answer_error(frame, error);
  }
  for (uint32_t i = 0; i < count; i++) {
    if (cadenced) cadence_release();
    run_once();
    if (cadenced) cadence_next();
  }
  frame->length = 0;
  put_u32(frame, count);
  put_u32(frame, protocol_crc32(0, harness_output, harness_output_bytes));
  if (cadenced) cadence_end(frame);
}

static void answer_output(crest_frame *frame) {
  if (frame->length != 8) return answer_error(frame, ERROR_LENGTH);
  uint32_t offset = get_u32(frame, 0), bytes = get_u32(frame, 4);
  if (bytes > MAX_PAYLOAD || offset > harness_output_bytes || bytes > harness_output_bytes - offset) {
    return answer_error(frame, ERROR_RANGE);
  }
  memcpy(frame->payload, harness_output + offset, bytes);
  frame->length = bytes;
}

void harness_main(void) {
  static crest_frame frame;
#ifdef CREST_INTERPRETED
  model_prepare();
#endif
  for (;;) {
    protocol_receive(&frame);
    switch (frame.type) {
      case FRAME_HELLO: answer_hello(&frame); break;
      case FRAME_LOAD: answer_load(&frame); break;
      case FRAME_RUN: answer_run(&frame, 0); break;
      case FRAME_OUTPUT: answer_output(&frame); break;
      case FRAME_CADENCE: answer_run(&frame, 1); break;
      case FRAME_BYE: frame.length = 0; break;
      default: answer_error(&frame, ERROR_TYPE);
    }
    frame.type |= 0x80u;
    protocol_send(&frame);
  }
}
