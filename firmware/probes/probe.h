/* SPDX-License-Identifier: Apache-2.0 */
/* A probe does one kind of work for about as many instructions as it is told, and returns a checksum of what it did. On other
 * machines than Arm the same work is written in C: there the expected checksums are computed. */
#ifndef CREST_PROBE_H
#define CREST_PROBE_H

#include <stdint.h>

/* What is read, and what is written, each in a region that the linker script decides. Multiples of PROBE_BLOCK_WORDS. */
#define PROBE_BLOCK_WORDS 32
extern const uint32_t layer0_table[];
extern const uint32_t layer0_table_words;
extern uint32_t model_arena[];
extern const uint32_t model_arena_words;

/* instructions: how many are asked for; seed: starts the computation, so that its result cannot be known before. */
uint32_t probe_run(uint32_t instructions, uint32_t seed);

/* Rounds of a loop, at least one. */
static inline uint32_t probe_rounds(uint32_t instructions, uint32_t instructions_per_round) {
  uint32_t rounds = instructions / instructions_per_round;
  return rounds ? rounds : 1;
}

#endif
