/* SPDX-License-Identifier: Apache-2.0 */
/* Additions, a subtraction and an exclusive or on registers, in pairs that a core can issue together. */
#ifndef CREST_ALU_STEP_H
#define CREST_ALU_STEP_H

#include <stdint.h>

typedef struct {
  uint32_t a, b, c, d;
} alu_registers;

#define ALU_STEP \
  "adds %[a], %[a], %[b]\n" \
  "eors %[c], %[d]\n" \
  "subs %[b], %[b], %[c]\n" \
  "adds %[d], %[d], %[a]\n"

static inline alu_registers alu_begin(uint32_t seed) { return (alu_registers){seed, ~seed, 0x9E3779B9u, 0x7F4A7C15u}; }

static inline void alu_step(alu_registers *at) {
  at->a += at->b;
  at->c ^= at->d;
  at->b -= at->c;
  at->d += at->a;
}

static inline uint32_t alu_checksum(const alu_registers *at) { return at->a ^ at->b ^ at->c ^ at->d; }

#endif
