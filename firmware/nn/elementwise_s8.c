/* SPDX-License-Identifier: Apache-2.0 */
#include "broadcast.h"
#include "crest_nn.h"
#include "dot_s8.h"
#include "requantise.h"
#include "rolled.h"

void crest_lookup_s8(const int8_t *table, const int8_t *in, int8_t *out, int32_t n) {
  const uint8_t *from = (const uint8_t *)in;
  CREST_ROLLED
  for (; n >= 4; n -= 4, from += 4, out += 4) {
    const int8_t a = table[from[0]], b = table[from[1]], c = table[from[2]], d = table[from[3]];
    out[0] = a, out[1] = b, out[2] = c, out[3] = d;
  }
  CREST_ROLLED
  for (; n > 0; n--) *out++ = table[*from++];
}

/* Fractional bits of the sum, and those that a factor has beyond them. */
#define SUM_BITS 21
#define FACTOR_BITS 8

/* factor * x / 256, rounded down, in products of 32 bits. */
static inline uint32_t scaled(int32_t factor, int32_t x) {
  const int32_t low = (factor & 255) * x >> FACTOR_BITS;
  return (uint32_t)((factor >> FACTOR_BITS) * x) + (uint32_t)low;
}

/* A step of 0 repeats an operand's element. */
static __attribute__((noinline)) void sum_run(const crest_sum_s8_params *p, const int8_t *left, int32_t left_step,
                                              const int8_t *right, int32_t right_step, int8_t *out, int32_t n) {
  /* Stores of bytes may alias anything: what is read once here would be read for every element. */
  const int32_t left_factor = p->left_factor, right_factor = p->right_factor;
  const int32_t act_min = p->act_min, act_max = p->act_max;
  const uint32_t offset = (uint32_t)p->offset;
  CREST_ROLLED
  for (; n > 0; n--, left += left_step, right += right_step) {
    const uint32_t sum = offset + scaled(left_factor, *left) + scaled(right_factor, *right);
    *out++ = (int8_t)crest_clamp((int32_t)sum >> SUM_BITS, act_min, act_max);
  }
}

#if CREST_DSP
/* The order is known to the assembly. */
typedef struct {
  const int8_t *left, *right;
  int8_t *out;
  int32_t left_factor, right_factor, offset;
  uint32_t upper_bytes, lows, highs;
  const int8_t *out_end;
} sum_arguments;

/* Four elements at a time, as the upper bytes of halfwords: the 48-bit products of SMLAW lose the 16 bits behind
 * factor * x / 256. On a core that issues two instructions at a time, those of a line go together. */
__attribute__((naked, noinline)) static void sum_words(const sum_arguments *a __attribute__((unused))) {
  __asm__ volatile(
      ".syntax unified\n\t"
      "push {r4-r11, lr}\n\t"
      "ldm.w r0, {r0, r1, r2, r3, r4, r5, r6, r7, r8, r9}\n\t"
      "push {r9}\n\t"
      ".balign 8\n"
      "1:\n\t"
      "ldr.w r9, [r0], #4\n\t"
      "ldr.w r10, [r1], #4\n\t"
      "and.w r11, r6, r9, lsl #8\n\t"
      "smlawb lr, r3, r11, r5\n\t"      "and.w r12, r6, r10, lsl #8\n\t"
      "and.w r10, r10, r6\n\t"          "smlawb lr, r4, r12, lr\n\t"
      "and.w r9, r9, r6\n\t"            "smlawt r11, r3, r11, r5\n\t"
      "smlawt r11, r4, r12, r11\n\t"
      "ssat lr, #8, lr, asr #21\n\t"    "smlawb r12, r3, r9, r5\n\t"
      "smlawb r12, r4, r10, r12\n\t"
      "smlawt r9, r3, r9, r5\n\t"
      "smlawt r9, r4, r10, r9\n\t"
      "ssat r12, #8, r12, asr #21\n\t"
      "ssat r11, #8, r11, asr #21\n\t"
      "ssat r9, #8, r9, asr #21\n\t"
      "bfi lr, r12, #8, #8\n\t"
      "bfi lr, r11, #16, #8\n\t"
      "bfi lr, r9, #24, #8\n\t"
      "ssub8 r10, lr, r7\n\t"
      "sel lr, lr, r7\n\t"
      "ssub8 r10, r8, lr\n\t"
      "sel lr, lr, r8\n\t"              "ldr.w r10, [sp]\n\t"
      "str.w lr, [r2], #4\n\t"          "cmp r2, r10\n\t"
      "bne 1b\n\t"
      "add sp, #4\n\t"
      "pop {r4-r11, pc}\n\t");
}
#endif

void crest_sum_s8(const crest_sum_s8_params *p, const int8_t *left, const int8_t *right, int8_t *out, int32_t n) {
  int32_t done = 0;
#if CREST_DSP
  done = n & ~3;
  if (done > 0) {
    const sum_arguments a = {.left = left, .right = right, .out = out, .left_factor = p->left_factor,
                             .right_factor = p->right_factor, .offset = p->offset, .upper_bytes = 0xFF00FF00u,
                             .lows = (uint8_t)p->act_min * 0x01010101u, .highs = (uint8_t)p->act_max * 0x01010101u,
                             .out_end = out + done};
    sum_words(&a);
  }
#endif
  if (done < n) sum_run(p, left + done, 1, right + done, 1, out + done, n - done);
}

void crest_sum_broadcast_s8(const crest_sum_s8_params *p, const int32_t *loops, const int8_t *left, const int8_t *right,
                            int8_t *out) {
  const int32_t n = crest_run_length(loops), left_step = crest_left_step(loops), right_step = crest_right_step(loops);
  crest_runs runs = {{0, 0, 0}, 0, 0};
  do {
    if (left_step && right_step) {
      crest_sum_s8(p, left + runs.left, right + runs.right, out, n);
    } else {
      sum_run(p, left + runs.left, left_step, right + runs.right, right_step, out, n);
    }
    out += n;
  } while (crest_next_run(loops, &runs));
}
