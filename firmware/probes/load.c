/* SPDX-License-Identifier: Apache-2.0 */
/* Loads of words, one behind the other, over the whole table again and again. The checksum holds the last four words of every
 * block, for adding up each one would be as many additions as loads. */
#include "probe.h"

static uint32_t read_table(uint32_t sum) {
  const uint32_t *from = layer0_table;
  uint32_t blocks = layer0_table_words / PROBE_BLOCK_WORDS, a, b, c, d;
#if defined(__arm__)
  __asm__ volatile(
      ".syntax unified\n"
      "1:\n"
      ".irp at, 0, 16, 32, 48, 64, 80, 96, 112\n"
      "ldr %[a], [%[from], #\\at]\n"
      "ldr %[b], [%[from], #\\at + 4]\n"
      "ldr %[c], [%[from], #\\at + 8]\n"
      "ldr %[d], [%[from], #\\at + 12]\n"
      ".endr\n"
      "adds %[sum], %[sum], %[a]\n"
      "adds %[sum], %[sum], %[b]\n"
      "adds %[sum], %[sum], %[c]\n"
      "adds %[sum], %[sum], %[d]\n"
      "adds %[from], #128\n"
      "subs %[blocks], %[blocks], #1\n"
      "bne 1b\n"
      : [a] "=&l"(a), [b] "=&l"(b), [c] "=&l"(c), [d] "=&l"(d), [from] "+l"(from), [sum] "+l"(sum), [blocks] "+l"(blocks)
      :
      : "cc", "memory");
#else
  for (; blocks; blocks--) {
    const uint32_t *last = from + PROBE_BLOCK_WORDS - 4;
    a = last[0], b = last[1], c = last[2], d = last[3];
    sum += a + b + c + d;
    from += PROBE_BLOCK_WORDS;
  }
#endif
  return sum;
}

uint32_t probe_run(uint32_t instructions, uint32_t seed) {
  uint32_t blocks = layer0_table_words / PROBE_BLOCK_WORDS, sum = seed;
  for (uint32_t round = probe_rounds(instructions, (PROBE_BLOCK_WORDS + 7) * blocks); round; round--) {
    sum = read_table(sum) * 0x9E3779B9u;
  }
  return sum;
}
