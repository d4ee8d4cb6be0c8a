/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution and dense layer for cores without the DSP extension. Taps and weights are taken as unsigned bytes, which such
 * cores load in one instruction at any distance from a base: with u = x + 128 and v = w + 128,
 * sum x w = sum u v - 128 sum u - 128 sum w, where the last term is part of the biases. */
#include "bounds_s8.h"
#include "crest_nn.h"
#include "memory_ops.h"
#include "patch.h"
#include "requantise.h"

#if defined(__ARM_ARCH_6M__)

#define PRODUCT(sum, offset)            \
  "ldrb r5, [r7, #" #offset "]\n\t" \
  "muls r5, r4, r5\n\t"             \
  "adds " sum ", " sum ", r5\n\t"
/* One tap of four channels. */
#define STEP(tap, w0, w1, w2, w3) \
  "ldrb r4, [r6, #" #tap "]\n\t" PRODUCT("r0", w0) PRODUCT("r1", w1) PRODUCT("r2", w2) PRODUCT("r3", w3)

/* Adds to the sums of four channels; x_end - x is a multiple of 4. */
__attribute__((naked, noinline)) static void add_products(const uint8_t *x __attribute__((unused)),
                                                          const uint8_t *x_end __attribute__((unused)),
                                                          const uint8_t *w __attribute__((unused)),
                                                          int32_t *sums __attribute__((unused))) {
  __asm__ volatile(
      ".syntax unified\n\t"
      "push {r4-r7, lr}\n\t"
      "mov r6, r0\n\t"
      "mov r7, r2\n\t"
      "mov r12, r1\n\t"
      "mov lr, r3\n\t"
      "subs r4, r1, r0\n\t"
      "ldmia r3, {r0-r3}\n\t"
      "lsls r4, r4, #29\n\t"
      "bpl 1f\n\t"
      "subs r6, #4\n\t" /* an odd number of groups: the first turn is its second half */
      "subs r7, #16\n\t"
      "b 2f\n"
      "1:\n\t" STEP(0, 0, 1, 2, 3) STEP(1, 4, 5, 6, 7) STEP(2, 8, 9, 10, 11) STEP(3, 12, 13, 14, 15)
      "2:\n\t" STEP(4, 16, 17, 18, 19) STEP(5, 20, 21, 22, 23) STEP(6, 24, 25, 26, 27) STEP(7, 28, 29, 30, 31)
      "adds r6, #8\n\t"
      "adds r7, #32\n\t"
      "cmp r6, r12\n\t"
      "bne 1b\n\t"
      "mov r4, lr\n\t"
      "stmia r4!, {r0-r3}\n\t"
      "pop {r4-r7, pc}\n\t");
}

#else

static void add_products(const uint8_t *x, const uint8_t *x_end, const uint8_t *w, int32_t *sums) {
  for (; x != x_end; x++, w += 4) {
    for (int32_t i = 0; i < 4; i++) sums[i] += *x * w[i];
  }
}

#endif

/* Copies a patch as unsigned bytes; returns their sum. */
static int32_t as_unsigned(const int8_t *patch, int32_t groups, uint32_t *to) {
  if ((uintptr_t)patch & 3) {
    memcpy(to, patch, 4u * (uint32_t)groups);
    patch = (const int8_t *)to;
  }
  const uint32_t *from = (const uint32_t *)patch;
  /* Two sums of 16 bits each hold no more than 128 groups. */
  int32_t total = 0;
  while (groups) {
    uint32_t sums = 0;
    for (int32_t n = groups < 128 ? groups : 128; n; n--, groups--) {
      const uint32_t word = *from++ ^ 0x80808080u;
      *to++ = word;
      sums += (word & 0x00FF00FFu) + (word >> 8 & 0x00FF00FFu);
    }
    total += (int32_t)((sums & 0xFFFFu) + (sums >> 16));
  }
  return total;
}

/* All output channels of one patch. */
static void one_patch(const crest_weighted_s8_params *p, const uint8_t *x, int32_t depth, int32_t offset, int8_t *out) {
  crest_finish finish = crest_finish_at(p, 0);
  const uint8_t *w = p->weights;
  int32_t left = p->window.out_c;
  for (; left >= 4; left -= 4, w += 4 * depth) {
    int32_t sums[4];
    for (int32_t i = 0; i < 4; i++) sums[i] = (finish.bias[i] >> 5) + offset;
    add_products(x, x + depth, w, sums);
    for (int32_t i = 0; i < 4; i++) *out++ = crest_finish_next(&finish, sums[i]);
  }
  for (; left; left--, w += depth) {
    int32_t sum = (*finish.bias >> 5) + offset;
    for (int32_t k = 0; k < depth; k++) sum += x[k] * w[k];
    *out++ = crest_finish_next(&finish, sum);
  }
}

void crest_conv2d_quads_s8(const crest_weighted_s8_params *p, const int8_t *in, int8_t *out, int8_t *scratch) {
  const crest_window *w = &p->window;
  const int32_t groups = (w->k_h * w->k_w * w->in_c + 3) / 4;
  int8_t *const first = out;
  for (int32_t y = 0; y < w->out_h; y++) {
    for (int32_t x = 0; x < w->out_w; x++, out += w->out_c) {
      const int32_t sum = as_unsigned(crest_patch_s8(w, in, y, x, p->in_zero, scratch), groups, (uint32_t *)scratch);
      one_patch(p, (const uint8_t *)scratch, 4 * groups, -128 * sum, out);
    }
  }
  crest_bound_s8(first, w->out_h * w->out_w * w->out_c, p->act_min, p->act_max);
}
