/* SPDX-License-Identifier: Apache-2.0 */
/* Measuring protocol, version 1. A frame is COBS(type, sequence, payload, CRC-32 little endian) between zero bytes;
 * the reply repeats the sequence and sets bit 7 of the type. Numbers are little endian. */
#ifndef CREST_PROTOCOL_H
#define CREST_PROTOCOL_H

#include <stdint.h>

#define PROTOCOL_VERSION 1u
#define MAX_PAYLOAD 240u

enum frame_type {
  FRAME_HELLO = 1,  /* -> version, clock Hz, input bytes, output bytes (u32 each), model id (8 bytes) */
  FRAME_LOAD = 2,   /* offset (u32), bytes -> nothing */
  FRAME_RUN = 3,    /* count (u32) -> count, CRC-32 of the outputs (u32 each) */
  FRAME_OUTPUT = 4, /* offset (u32), bytes (u32) -> bytes */
  FRAME_BYE = 5,    /* -> nothing */
  FRAME_ERROR = 0x7F /* code (u8), only as a reply */
};

enum frame_error { ERROR_TYPE = 1, ERROR_RANGE = 2, ERROR_LENGTH = 3 };

typedef struct {
  uint8_t type, sequence;
  uint32_t length;
  uint8_t payload[MAX_PAYLOAD];
} crest_frame;

uint32_t protocol_crc32(uint32_t crc, const uint8_t *data, uint32_t bytes); /* start with 0 */
void protocol_receive(crest_frame *frame);                                  /* waits for a valid frame */
void protocol_send(const crest_frame *frame);

#endif
