/* SPDX-License-Identifier: Apache-2.0 */
/* Measuring protocol, version 1. A frame is COBS(type, sequence, payload, CRC-32 little endian) between zero bytes;
 * the reply repeats the sequence and sets bit 7 of the type. Numbers are little endian. */
#ifndef CREST_PROTOCOL_H
#define CREST_PROTOCOL_H

#include <stdint.h>

#include "memory_ops.h"

#define PROTOCOL_VERSION 1u
#define MAX_PAYLOAD 240u

enum frame_type {
  FRAME_HELLO = 1,  /* -> version, clock Hz, input bytes, output bytes (u32 each), model id (8 bytes) */
  FRAME_LOAD = 2,   /* offset (u32), bytes -> nothing */
  FRAME_RUN = 3,    /* count (u32) -> count, CRC-32 of the outputs (u32 each) */
  FRAME_OUTPUT = 4, /* offset (u32), bytes (u32) -> bytes */
  FRAME_BYE = 5,    /* -> nothing */
  FRAME_CADENCE = 6, /* count, state, period in us, wake margin in us (u32 each) -> count, CRC-32 of the outputs, how many
                        windows ended after their period, Hz of the board's timer (u32 each), its counts since the first
                        wake-up (u64) */
  FRAME_ERROR = 0x7F /* code (u8), only as a reply */
};

enum frame_error { ERROR_TYPE = 1, ERROR_RANGE = 2, ERROR_LENGTH = 3, ERROR_STATE = 4 };

typedef struct {
  uint8_t type, sequence;
  uint32_t length;
  uint8_t payload[MAX_PAYLOAD];
} crest_frame;

uint32_t protocol_crc32(uint32_t crc, const uint8_t *data, uint32_t bytes); /* start with 0 */
void protocol_receive(crest_frame *frame);                                  /* waits for a valid frame */
void protocol_send(const crest_frame *frame);

/* Numbers of a request by their place in bytes; numbers are appended to a reply. */
static inline uint32_t get_u32(const crest_frame *frame, uint32_t at) {
  uint32_t value;
  memcpy(&value, frame->payload + at, 4);
  return value;
}

static inline void put_u32(crest_frame *frame, uint32_t value) {
  memcpy(frame->payload + frame->length, &value, 4);
  frame->length += 4;
}

static inline void answer_error(crest_frame *frame, uint8_t code) {
  frame->type = FRAME_ERROR;
  frame->payload[0] = code;
  frame->length = 1;
}

#endif
