/* SPDX-License-Identifier: Apache-2.0 */
/* Stores of words, one behind the other, over the whole arena again and again. The checksum reads one word of every block. */
#include "probe.h"

static uint32_t fill_arena(uint32_t value) {
  uint32_t *to = model_arena;
  uint32_t blocks = model_arena_words / PROBE_BLOCK_WORDS, step = 0x9E3779B9u;
#if defined(__arm__)
  uint32_t other;
  __asm__ volatile(
      ".syntax unified\n"
      "1:\n"
      "mvns %[other], %[value]\n"
      ".irp at, 0, 16, 32, 48, 64, 80, 96, 112\n"
      "str %[value], [%[to], #\\at]\n"
      "str %[other], [%[to], #\\at + 4]\n"
      "str %[value], [%[to], #\\at + 8]\n"
      "str %[other], [%[to], #\\at + 12]\n"
      ".endr\n"
      "adds %[value], %[value], %[step]\n"
      "adds %[to], #128\n"
      "subs %[blocks], %[blocks], #1\n"
      "bne 1b\n"
      : [other] "=&l"(other), [value] "+l"(value), [to] "+l"(to), [blocks] "+l"(blocks)
      : [step] "l"(step)
      : "cc", "memory");
#else
  for (; blocks; blocks--) {
    for (int i = 0; i < PROBE_BLOCK_WORDS; i += 2) {
      to[i] = value;
      to[i + 1] = ~value;
    }
    value += step;
    to += PROBE_BLOCK_WORDS;
  }
#endif
  return value;
}

uint32_t probe_run(uint32_t instructions, uint32_t seed) {
  uint32_t blocks = model_arena_words / PROBE_BLOCK_WORDS, value = seed, sum = 0;
  for (uint32_t round = probe_rounds(instructions, (PROBE_BLOCK_WORDS + 5) * blocks); round; round--) {
    value = fill_arena(value);
  }
  for (uint32_t block = 0; block < blocks; block++) {
    sum = sum * 31 + model_arena[block * PROBE_BLOCK_WORDS + block % PROBE_BLOCK_WORDS];
  }
  return sum;
}
