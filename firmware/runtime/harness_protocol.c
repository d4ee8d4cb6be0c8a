/* SPDX-License-Identifier: Apache-2.0 */
#include "harness_protocol.h"

#include "board.h"

#define HEADER 2u
#define TRAILER 4u
#define MAX_RAW (HEADER + MAX_PAYLOAD + TRAILER)

uint32_t protocol_crc32(uint32_t crc, const uint8_t *data, uint32_t bytes) {
  static const uint32_t nibble[16] = {
      0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u, 0x4DB26158u, 0x5005713Cu,
      0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu, 0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu,
  };
  crc = ~crc;
  for (uint32_t i = 0; i < bytes; i++) {
    crc ^= data[i];
    crc = (crc >> 4) ^ nibble[crc & 15u];
    crc = (crc >> 4) ^ nibble[crc & 15u];
  }
  return ~crc;
}

/* Undoes COBS while bytes arrive. Returns the length at the closing zero, 0 for a frame that is broken or too long. */
static uint32_t receive_raw(uint8_t *raw) {
  uint32_t length = 0, left = 0;
  int started = 0, zero_due = 0, broken = 0;
  for (;;) {
    uint8_t byte = board_read_byte();
    if (byte == 0) {
      if (!started) continue; /* zeros between frames */
      return broken || left ? 0 : length;
    }
    if (left == 0) { /* a code byte: how far the next zero is */
      if (started && zero_due) {
        if (length < MAX_RAW) raw[length++] = 0; else broken = 1;
      }
      started = 1;
      left = byte - 1u;
      zero_due = byte != 0xFF;
    } else {
      if (length < MAX_RAW) raw[length++] = byte; else broken = 1;
      left--;
    }
  }
}

static uint32_t read_u32(const uint8_t *p) {
  return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

void protocol_receive(crest_frame *frame) {
  static uint8_t raw[MAX_RAW];
  for (;;) {
    uint32_t length = receive_raw(raw);
    if (length < HEADER + TRAILER) continue;
    uint32_t body = length - TRAILER;
    if (protocol_crc32(0, raw, body) != read_u32(raw + body)) continue; /* the host repeats what is not answered */
    frame->type = raw[0];
    frame->sequence = raw[1];
    frame->length = body - HEADER;
    for (uint32_t i = 0; i < frame->length; i++) frame->payload[i] = raw[HEADER + i];
    return;
  }
}

void protocol_send(const crest_frame *frame) {
  static uint8_t raw[MAX_RAW], coded[MAX_RAW + 4];
  uint32_t body = HEADER + frame->length;
  raw[0] = frame->type;
  raw[1] = frame->sequence;
  for (uint32_t i = 0; i < frame->length; i++) raw[HEADER + i] = frame->payload[i];
  uint32_t crc = protocol_crc32(0, raw, body);
  for (uint32_t i = 0; i < TRAILER; i++) raw[body + i] = (uint8_t)(crc >> (8 * i));
  /* COBS; MAX_RAW < 254, so a code byte never reaches 0xFF. */
  uint32_t out = 0, code_at;
  coded[out++] = 0;
  code_at = out++;
  for (uint32_t i = 0; i < body + TRAILER; i++) {
    if (raw[i]) {
      coded[out++] = raw[i];
    } else {
      coded[code_at] = (uint8_t)(out - code_at);
      code_at = out++;
    }
  }
  coded[code_at] = (uint8_t)(out - code_at);
  coded[out++] = 0;
  board_write(coded, out);
}
