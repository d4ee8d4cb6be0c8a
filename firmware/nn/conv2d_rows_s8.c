/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution for cores with the DSP extension where neighbouring patches share columns: of three positions in a row, each
 * line of the input is widened to 16 bits once, and the taps of the three lie a fixed distance apart. */
#include "bounds_s8.h"
#include "crest_nn.h"
#include "dual_issue.h"
#include "patch.h"
#include "requantise.h"
#include "tile_s8.h"

#define TILE 3

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP

/* What the assembly works on; it copies all of it to its stack, and knows the order. */
typedef struct {
  const int16_t *x, *x_end; /* the taps of the first position in its first line, in pairs */
  int32_t skip;             /* pairs of taps by which the first turn of the unrolled loop is shorter */
  const int32_t *biases, *multipliers;
  int32_t multiplier_step, twice_out_zero_plus_one;
  int8_t *out;
  int32_t distance, channels;
  int32_t apart;     /* bytes between the taps of two positions */
  int32_t lines;     /* lines of a patch */
  int32_t line_gap;  /* bytes from the end of the taps in a line to their start in the next */
  int32_t line_size; /* bytes from one line to the next */
  int32_t unused[2]; /* where the assembly keeps the end of the line, and the lines to go */
} arguments;

/* Two taps of three positions and two channels; 48 bytes. */
#if CREST_DUAL_ISSUE
/* What stands on a line can be issued in one cycle. The taps of the first position and the weights are loaded a step ahead:
 * kernels read 4 bytes behind the weights. */
#define STEP                                                      \
  "sxtb16 r12, r11, ror #8\n\t" "ldr.w r10, [r0, lr, lsl #1]\n\t" \
  "sxtb16 r11, r11\n\t"         "smlad r5, r8, r12, r5\n\t"       \
  "ldr.w r9, [r0, lr]\n\t"      "smlad r2, r8, r11, r2\n\t"       \
  "ldr.w r8, [r0, #4]!\n\t"     "smlad r7, r10, r12, r7\n\t"      \
  "smlad r4, r10, r11, r4\n\t"                                    \
  "smlad r6, r9, r12, r6\n\t"                                     \
  "smlad r3, r9, r11, r3\n\t"   "ldr.w r11, [r1], #4\n\t"
/* r1 is a word ahead. */
#define AHEAD "adds r1, #4\n"
#define FIRST_WEIGHTS "ldr r11, [r1, #-4]\n\t"
#define FIRST_TAPS "ldr.w r8, [r0]\n\t"
#else
#define STEP                         \
  "ldr.w r9, [r0, lr]\n\t"           \
  "ldr.w r10, [r0, lr, lsl #1]\n\t"  \
  "ldr.w r8, [r0], #4\n\t"           \
  "ldr.w r11, [r1], #4\n\t"          \
  CREST_TILE_PRODUCTS
#define AHEAD
#define FIRST_WEIGHTS
#define FIRST_TAPS
#endif

/* Three positions, all output channels. */
__attribute__((naked, noinline)) static void tile(const arguments *a __attribute__((unused)),
                                                  const int8_t *weights __attribute__((unused))) {
  __asm__ volatile(
      ".syntax unified\n\t"
      "push {r4-r11, lr}\n\t"
      "add.w r12, r0, #40\n\t"
      "ldm.w r12, {r2-r7}\n\t"
      "push {r2-r7}\n\t"
      "ldm r0, {r2-r11}\n\t"
      "push {r2-r11}\n\t"
      "adr.w r12, 2f\n\t"
      "mov.w lr, #48\n\t"
      "mla r12, r4, lr, r12\n\t"
      "str.w r12, [sp, #8]\n"
      AHEAD
      "1:\n\t" /* a pair of channels */
      CREST_TILE_BIASES
      "ldr.w r8, [sp, #4]\n\t"
      "ldr.w r9, [sp, #44]\n\t"
      "str.w r8, [sp, #56]\n\t"
      "str.w r9, [sp, #60]\n\t"
      "ldr r0, [sp, #0]\n\t"
      FIRST_WEIGHTS
      "ldr.w lr, [sp, #40]\n"
      "4:\n\t" /* a line */
      "ldr.w r12, [sp, #8]\n\t"
      FIRST_TAPS
      "mov pc, r12\n\t"
      ".balign 8\n"
      "2:\n\t" STEP STEP STEP STEP STEP STEP STEP STEP
      "ldr.w r12, [sp, #56]\n\t"
      "cmp r0, r12\n\t"
      "bne.w 2b\n\t"
      "ldr.w r9, [sp, #60]\n\t"
      "ldr.w r10, [sp, #48]\n\t"
      "ldr.w r8, [sp, #52]\n\t"
      "subs.w r9, r9, #1\n\t"
      "str.w r9, [sp, #60]\n\t"
      "add r0, r10\n\t"
      "add r12, r8\n\t"
      "str.w r12, [sp, #56]\n\t"
      "bne.w 4b\n\t"
      CREST_TILE_FINISH
      "3:\n\t"
      "add sp, #64\n\t"
      "pop {r4-r11, pc}\n\t");
}

/* Widens n elements, and up to 3 more. */
__attribute__((noinline)) static void widen(const int8_t *x, int32_t n, int16_t *to) {
  int32_t word, even;
  if (n <= 0) return;
  __asm__ volatile(
      "1:\n\t"
      "ldr %[word], [%[x]], #4\n\t"
      "subs %[n], #4\n\t"
      "sxtb16 %[even], %[word]\n\t"
      "sxtb16 %[word], %[word], ror #8\n\t"
      "pkhbt r12, %[even], %[word], lsl #16\n\t"
      "pkhtb %[word], %[word], %[even], asr #16\n\t"
      "str %[word], [%[to], #4]\n\t"
      "str r12, [%[to]], #8\n\t"
      "bgt 1b"
      : [x] "+r"(x), [n] "+r"(n), [to] "+r"(to), [word] "=&r"(word), [even] "=&r"(even)
      :
      : "r12", "cc", "memory");
}

/* The input under the patches of three positions of row y, from column x on, line by line. */
static void widen_lines(const crest_weighted_s8_params *p, const int8_t *in, int32_t y, int32_t x, int32_t columns, int16_t *to,
                        int32_t line_size) {
  const crest_window *w = &p->window;
  const int32_t top = y * w->stride_h - w->pad_top, left = x * w->stride_w - w->pad_left;
  const int32_t begin = left < 0 ? -left : 0, end = left + columns > w->in_w ? w->in_w - left : columns;
  for (int32_t i = 0; i < w->k_h; i++) {
    const int32_t from_y = top + i * w->dilation_h;
    int16_t *line = (int16_t *)((int8_t *)to + i * line_size);
    const int outside = from_y < 0 || from_y >= w->in_h;
    if (outside || begin > 0 || end < columns) {
      for (int32_t k = 0; k < columns * w->in_c; k++) line[k] = (int16_t)p->in_zero;
    }
    if (outside || begin >= end) continue;
    widen(in + (from_y * w->in_w + left + begin) * w->in_c, (end - begin) * w->in_c, line + begin * w->in_c);
    /* What was widened beyond the input is padding. */
    for (int32_t k = end * w->in_c; k < columns * w->in_c && k < end * w->in_c + 3; k++) line[k] = (int16_t)p->in_zero;
  }
}

void crest_conv2d_rows_s8(const crest_weighted_s8_params *p, const int8_t *in, int8_t *out, int8_t *scratch) {
  const crest_window *w = &p->window;
  const int32_t columns = w->k_w + (TILE - 1) * w->stride_w;
  const int32_t pairs = (w->k_w * w->in_c + 1) / 2, line_size = (2 * columns * w->in_c + 10) & ~3;
  int16_t *x = (int16_t *)scratch;
  arguments a = {.x = x, .x_end = x + 2 * pairs, .skip = -pairs & 7, .biases = p->biases, .multipliers = p->multipliers,
                 .multiplier_step = p->multiplier_step, .twice_out_zero_plus_one = 2 * p->out_zero + 1,
                 .distance = w->out_c, .channels = w->out_c, .apart = 2 * w->stride_w * w->in_c, .lines = w->k_h,
                 .line_gap = line_size - 4 * pairs, .line_size = line_size};
  for (int32_t y = 0; y < w->out_h; y++) {
    for (int32_t next = 0; next < w->out_w; next += TILE) {
      /* The last three of a row may take up positions that are done. */
      const int32_t at = next + TILE > w->out_w ? w->out_w - TILE : next;
      widen_lines(p, in, y, at, columns, x, line_size);
      a.out = out + (y * w->out_w + at) * w->out_c;
      tile(&a, p->weights);
    }
  }
  crest_bound_s8(out, w->out_h * w->out_w * w->out_c, p->act_min, p->act_max);
}

#else

void crest_conv2d_rows_s8(const crest_weighted_s8_params *p, const int8_t *in, int8_t *out, int8_t *scratch) {
  const crest_window *w = &p->window;
  int8_t *const first = out;
  const int32_t taps = w->k_w * w->in_c, pairs = (taps + 1) / 2;
  for (int32_t y = 0; y < w->out_h; y++) {
    for (int32_t x = 0; x < w->out_w; x++) {
      const int8_t *patch = crest_patch_s8(w, in, y, x, p->in_zero, scratch);
      crest_finish finish = crest_finish_at(p, 0);
      for (int32_t c = 0; c < w->out_c; c++) {
        const int8_t *weights = (const int8_t *)p->weights + c / 2 * 4 * pairs * w->k_h + c % 2;
        int32_t sum = *finish.bias >> 5;
        for (int32_t i = 0; i < w->k_h; i++, weights += 4 * pairs) {
          for (int32_t k = 0; k < taps; k++) sum += patch[i * taps + k] * weights[2 * k];
        }
        *out++ = crest_finish_next(&finish, sum);
      }
    }
  }
  crest_bound_s8(first, w->out_h * w->out_w * w->out_c, p->act_min, p->act_max);
}

#endif
