/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise convolution. Every tap of a patch is an offset from a base address, so that padding, stride and dilation are
 * settled once per position and the loops over channels do not know them: a padding tap leads to a row of zero points. */
#include "bounds_s8.h"
#include "crest_nn.h"
#include "dot_s8.h"
#include "dual_issue.h"
#include "memory_ops.h"
#include "requantise.h"

typedef struct {
  const int8_t *base;                  /* what the offsets count from, at channel 0 */
  const int32_t *offsets, *offset_end; /* of each tap */
} taps;

#if CREST_DSP

/* What a position needs of four channels, in the order in which the assembly reads it. */
typedef struct {
  int32_t bias[4];
  struct {
    int32_t addend, shift, multiplier;
  } finish[4];
} quad;

/* The order is known to the assembly. */
typedef struct {
  const int8_t *base;
  const int32_t *offsets;
  const int8_t *weights;
  int8_t *out;
  const quad *table;
  int32_t quads;
  int32_t skip; /* taps by which the first turn of the unrolled loop is shorter */
  const int32_t *offset_end;
} position_arguments;

#define UNROLLED 9
/* The start of the first turn, at label 2, goes to r7; a tap takes 44 bytes. */
#define START                                       \
  ".syntax unified\n\t"                             \
  "push {r4-r11, lr}\n\t"                           \
  "ldm.w r0, {r0, r1, r2, r3, r4, r5, r6, r12}\n\t" \
  "mov lr, r4\n\t"                                  \
  "adr.w r7, 2f\n\t"                                \
  "mov.w r8, #44\n\t"                               \
  "mla r7, r6, r8, r7\n\t"

#if CREST_DUAL_ISSUE

/* One tap of four channels, whose offset is in r3. What stands on a line can be issued in one cycle, the first instruction
 * beside the last one of the tap before. */
#define TAP                                                  \
  "ldr.w r10, [r2], #4\n\t"                                  \
  "sxtb16 r11, r10, ror #8\n\t" "ldr.w r8, [r0, r3]\n\t"     \
  "sxtb16 r9, r8, ror #8\n\t"                                \
  "sxtb16 r10, r10\n\t"         "smlatt r7, r9, r11, r7\n\t" \
  "sxtb16 r8, r8\n\t"           "smlabb r5, r9, r11, r5\n\t" \
  "smlabb r4, r8, r10, r4\n\t"  "ldr.w r3, [r1], #4\n\t"     \
  "smlatt r6, r8, r10, r6\n\t"

/* One position, all whole fours of channels. Reads an offset more than there are. */
__attribute__((naked, noinline)) static void position(const position_arguments *arguments __attribute__((unused))) {
  __asm__ volatile(
      START
      "add.w r12, r12, #4\n\t"
      "push {r1, r3, r5, r7, r12}\n" /* first offset, outputs, fours to go, start of the first turn, end of the offsets */
      "1:\n\t"
      "ldr.w r8, [sp, #12]\n\t"
      "ldr.w r3, [r1], #4\n\t"
      "ldm.w lr!, {r4, r5, r6, r7}\n\t"
      "mov pc, r8\n\t"
      ".balign 8\n"
      "2:\n\t" TAP TAP TAP TAP TAP TAP TAP TAP TAP
      "ldr.w r8, [sp, #16]\n\t"
      "cmp r1, r8\n\t"
      "bne.w 2b\n\t"
      "ldm.w lr!, {r8, r9, r10}\n\t"
      "lsls r6, r6, #1\n\t" "ldr r3, [sp, #4]\n\t"
      "lsls r4, r4, #1\n\t" "smmulr r4, r4, r10\n\t"
      "ldm.w lr!, {r1, r11, r12}\n\t"
      "add.w r4, r4, r4, asr #31\n\t" "lsls r5, r5, #1\n\t"
      "smmulr r5, r5, r12\n\t" "add r4, r4, r8\n\t"
      "add.w r0, r0, #4\n\t" "asr.w r4, r4, r9\n\t"
      "ldm.w lr!, {r8, r9, r10}\n\t"
      "lsls r7, r7, #1\n\t" "add.w r5, r5, r5, asr #31\n\t"
      "add r5, r5, r1\n\t"
      "asr.w r5, r5, r11\n\t" "smmulr r6, r6, r10\n\t"
      "ldm.w lr!, {r1, r11, r12}\n\t"
      "ssat r5, #8, r5\n\t" "strb r5, [r3, #1]\n\t"
      "smmulr r7, r7, r12\n\t" "add.w r6, r6, r6, asr #31\n\t"
      "ssat r4, #8, r4\n\t" "add r6, r6, r8\n\t"
      "ldr.w r8, [sp, #8]\n\t" "asr.w r6, r6, r9\n\t"
      "add.w r7, r7, r7, asr #31\n\t" "subs.w r8, r8, #1\n\t"
      "strb r4, [r3]\n\t" "add r7, r7, r1\n\t"
      "ssat r6, #8, r6\n\t" "asr.w r7, r7, r11\n\t"
      "ldr r1, [sp, #0]\n\t" "strb r6, [r3, #2]\n\t"
      "ssat r7, #8, r7\n\t" "strb r7, [r3, #3]\n\t"
      "add.w r3, r3, #4\n\t" "str r3, [sp, #4]\n\t"
      "str.w r8, [sp, #8]\n\t" "bne.w 1b\n\t"
      "add sp, #20\n\t"
      "pop {r4-r11, pc}\n\t");
}

#else

/* One tap of four channels. */
#define TAP                        \
  "ldr.w r8, [r1], #4\n\t"         \
  "ldr.w r8, [r0, r8]\n\t"         \
  "ldr.w r10, [r2], #4\n\t"        \
  "sxtb16 r9, r8, ror #8\n\t"      \
  "sxtb16 r8, r8\n\t"              \
  "sxtb16 r11, r10, ror #8\n\t"    \
  "sxtb16 r10, r10\n\t"            \
  "smlabb r4, r8, r10, r4\n\t"     \
  "smlabb r5, r9, r11, r5\n\t"     \
  "smlatt r6, r8, r10, r6\n\t"     \
  "smlatt r7, r9, r11, r7\n\t"
#define FINISH(s)                          \
  "ldm.w lr!, {r8, r9, r10}\n\t"           \
  "lsls " s ", " s ", #1\n\t"              \
  "smmulr " s ", " s ", r10\n\t"           \
  "add.w " s ", " s ", " s ", asr #31\n\t" \
  "add " s ", r8\n\t"                      \
  "asrs " s ", r9\n\t"                     \
  "ssat " s ", #8, " s "\n\t"              \
  "strb " s ", [r3], #1\n\t"

/* One position, all whole fours of channels. */
__attribute__((naked, noinline)) static void position(const position_arguments *arguments __attribute__((unused))) {
  __asm__ volatile(
      START
      "push {r1, r5, r7}\n" /* first offset, fours to go, start of the first turn */
      "1:\n\t"
      "ldr r7, [sp, #8]\n\t"
      "mov r8, r7\n\t"
      "ldm.w lr!, {r4, r5, r6, r7}\n\t"
      "mov pc, r8\n\t"
      ".balign 4\n"
      "2:\n\t" TAP TAP TAP TAP TAP TAP TAP TAP TAP
      "cmp r1, r12\n\t"
      "bne.w 2b\n\t" FINISH("r4") FINISH("r5") FINISH("r6") FINISH("r7")
      "ldrd r1, r8, [sp]\n\t"
      "add.w r0, r0, #4\n\t"
      "subs.w r8, r8, #1\n\t"
      "str.w r8, [sp, #4]\n\t"
      "bne.w 1b\n\t"
      "add sp, #12\n\t"
      "pop {r4-r11, pc}\n\t");
}

#endif


static void prepare(const crest_weighted_s8_params *p, quad *table, int32_t quads) {
  const int32_t *multiplier = p->multipliers;
  for (int32_t c = 0; c < 4 * quads; c++, multiplier += p->multiplier_step / 4) {
    quad *q = table + c / 4;
    const int32_t shift = p->biases[c] & 31;
    q->bias[c % 4] = p->biases[c] >> 5;
    q->finish[c % 4].addend = (2 * p->out_zero + 1) * (1 << shift);
    q->finish[c % 4].shift = shift + 1;
    q->finish[c % 4].multiplier = *multiplier;
  }
}

#endif

/* All channels from c on of one position. Weights stand by fours of channels, by tap; behind them by channel. */
static void channels_from(const crest_weighted_s8_params *p, int32_t c, const taps *t, int8_t *out) {
  const int32_t channels = p->window.out_c, count = (int32_t)(t->offset_end - t->offsets);
  const int8_t *w = (const int8_t *)p->weights + c * count;
  crest_finish finish = crest_finish_at(p, c);
  for (; c + 4 <= channels; c += 4) {
    const int8_t *base = t->base + c;
    int32_t s0 = finish.bias[0] >> 5, s1 = finish.bias[1] >> 5, s2 = finish.bias[2] >> 5, s3 = finish.bias[3] >> 5;
    for (const int32_t *offset = t->offsets; offset != t->offset_end; offset++, w += 4) {
      const int8_t *x = base + *offset;
      s0 += x[0] * w[0];
      s1 += x[1] * w[1];
      s2 += x[2] * w[2];
      s3 += x[3] * w[3];
    }
    out[c] = crest_finish_next(&finish, s0);
    out[c + 1] = crest_finish_next(&finish, s1);
    out[c + 2] = crest_finish_next(&finish, s2);
    out[c + 3] = crest_finish_next(&finish, s3);
  }
  for (; c < channels; c++) {
    int32_t sum = *finish.bias >> 5;
    for (const int32_t *offset = t->offsets; offset != t->offset_end; offset++) sum += t->base[c + *offset] * *w++;
    out[c] = crest_finish_next(&finish, sum);
  }
}

/* Offsets of the taps of a patch that reaches beyond the input, from the input's first element. */
static void border_offsets(const crest_window *w, int32_t top, int32_t left, int32_t padding, int32_t *offset) {
  for (int32_t i = 0; i < w->k_h; i++) {
    const int32_t y = top + i * w->dilation_h;
    for (int32_t j = 0; j < w->k_w; j++) {
      const int32_t x = left + j * w->dilation_w;
      const int outside = y < 0 || y >= w->in_h || x < 0 || x >= w->in_w;
      *offset++ = outside ? padding : (y * w->in_w + x) * w->in_c;
    }
  }
}

void crest_depthwise_s8(const crest_weighted_s8_params *p, const int8_t *in, int8_t *out, int8_t *scratch) {
  const crest_window *w = &p->window;
  const int32_t count = w->k_h * w->k_w, channels = w->in_c;
  const int32_t reach_h = (w->k_h - 1) * w->dilation_h, reach_w = (w->k_w - 1) * w->dilation_w;
#if CREST_DSP
  const int32_t quads = channels / 4;
  prepare(p, (quad *)scratch, quads);
  position_arguments arguments = {.weights = p->weights, .table = (quad *)scratch, .quads = quads,
                                  .skip = (UNROLLED - count % UNROLLED) % UNROLLED};
  int32_t *const inner = (int32_t *)((quad *)scratch + quads);
#else
  const int32_t quads = 0;
  int32_t *const inner = (int32_t *)scratch;
#endif
  int32_t *const border = inner + count;
  int8_t *const zeros = (int8_t *)(border + count);
  int8_t *const first = out;
  /* Seen from the first element of a patch that lies inside, its taps are where those of the patch at 0, 0 are. */
  for (int32_t i = 0, at = 0; i < w->k_h; i++) {
    for (int32_t j = 0; j < w->k_w; j++) inner[at++] = (i * w->dilation_h * w->in_w + j * w->dilation_w) * channels;
  }
  memset(zeros, p->in_zero, (uint32_t)channels);
  for (int32_t y = 0; y < w->out_h; y++) {
    const int32_t top = y * w->stride_h - w->pad_top;
    for (int32_t x = 0; x < w->out_w; x++, out += channels) {
      const int32_t left = x * w->stride_w - w->pad_left;
      taps t = {in + (top * w->in_w + left) * channels, inner, border};
      if (top < 0 || left < 0 || top + reach_h >= w->in_h || left + reach_w >= w->in_w) {
        border_offsets(w, top, left, (int32_t)(zeros - in), border);
        t = (taps){in, border, border + count};
      }
#if CREST_DSP
      if (quads) {
        arguments.base = t.base, arguments.offsets = t.offsets, arguments.offset_end = t.offset_end, arguments.out = out;
        position(&arguments);
      }
#endif
      if (4 * quads < channels) channels_from(p, 4 * quads, &t, out);
    }
  }
  crest_bound_s8(first, w->out_h * w->out_w * channels, p->act_min, p->act_max);
}
