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
#define UPPER_BYTES 0xFF00FF00u

/* Two elements as the upper bytes of x and of y: the 48-bit products of SMLAW lose the 16 bits behind factor * x / 256. */
static inline void sum_pair(const crest_sum_s8_params *p, uint32_t x, uint32_t y, int32_t *low, int32_t *high) {
  *low = __smlawb(p->right_factor, (int32_t)y, __smlawb(p->left_factor, (int32_t)x, p->offset));
  *high = __smlawt(p->right_factor, (int32_t)y, __smlawt(p->left_factor, (int32_t)x, p->offset));
  __asm__("ssat %0, #8, %1, asr #21" : "=r"(*low) : "r"(*low));
  __asm__("ssat %0, #8, %1, asr #21" : "=r"(*high) : "r"(*high));
}

/* Four bytes, each at least low and at most high. */
static inline uint32_t clamp_bytes(uint32_t bytes, uint32_t low, uint32_t high) {
  uint32_t difference;
  __asm__("ssub8 %1, %0, %2\n\tsel %0, %0, %2\n\tssub8 %1, %3, %0\n\tsel %0, %0, %3"
          : "+r"(bytes), "=&r"(difference)
          : "r"(low), "r"(high));
  return bytes;
}

/* The position is a literal: no argument of a function is a constant where nothing is optimized. */
#define INSERT_BYTE(word, byte, position) __asm__("bfi %0, %1, #" #position ", #8" : "+r"(word) : "r"(byte))

static int32_t sum_words(const crest_sum_s8_params *params, const int8_t *left, const int8_t *right, int8_t *out,
                         int32_t n) {
  const crest_sum_s8_params p = *params;
  const uint32_t low = (uint32_t)(uint8_t)p.act_min * 0x01010101u, high = (uint32_t)(uint8_t)p.act_max * 0x01010101u;
  int32_t i = 0;
  for (; i + 4 <= n; i += 4) {
    uint32_t x, y;
    __builtin_memcpy(&x, left + i, 4);
    __builtin_memcpy(&y, right + i, 4);
    int32_t first, second, third, fourth;
    sum_pair(&p, x << 8 & UPPER_BYTES, y << 8 & UPPER_BYTES, &first, &third);
    sum_pair(&p, x & UPPER_BYTES, y & UPPER_BYTES, &second, &fourth);
    uint32_t word = (uint32_t)first;
    INSERT_BYTE(word, second, 8);
    INSERT_BYTE(word, third, 16);
    INSERT_BYTE(word, fourth, 24);
    word = clamp_bytes(word, low, high);
    __builtin_memcpy(out + i, &word, 4);
  }
  return i;
}
#endif

void crest_sum_s8(const crest_sum_s8_params *p, const int8_t *left, const int8_t *right, int8_t *out, int32_t n) {
  int32_t done = 0;
#if CREST_DSP
  done = sum_words(p, left, right, out, n);
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
