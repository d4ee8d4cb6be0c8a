/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution and dense layer for cores with the DSP extension: SMLAD multiplies two taps at a time. Three positions of a
 * convolution share each load of weights; their patches are widened to 16 bits once for all channels. */
#include "bounds_s8.h"
#include "crest_nn.h"
#include "dot_s8.h"
#include "dual_issue.h"
#include "patch.h"
#include "requantise.h"
#include "tile_s8.h"

#define TILE 3

#if CREST_DSP

/* What the assembly works on; it copies all of it to its stack, and knows the order. */
typedef struct {
  const void *x, *x_end; /* taps */
  int32_t skip;          /* groups of taps by which the first turn of the unrolled loop is shorter */
  const int32_t *biases, *multipliers;
  int32_t multiplier_step, twice_out_zero_plus_one;
  int8_t *out;
  int32_t distance; /* bytes between the outputs of two positions; for a line, between the weights of two pairs */
  int32_t channels;
} arguments;

/* Pushes the arguments, which leaves skip in r4, and replaces skip by the start of the first turn. */
#define START(group_bytes)                 \
  ".syntax unified\n\t"                    \
  "push {r4-r11, lr}\n\t"                 \
  "ldm r0, {r2-r11}\n\t"                  \
  "push {r2-r11}\n\t"                     \
  "adr.w r12, 2f\n\t"                     \
  "mov.w lr, #" #group_bytes "\n\t"        \
  "mla r12, r4, lr, r12\n\t"              \
  "str.w r12, [sp, #8]\n"
#define FIRST_TURN         \
  "ldr r0, [sp, #0]\n\t"  \
  "ldr.w lr, [sp, #4]\n\t" \
  "ldr.w r12, [sp, #8]\n\t" \
  "mov pc, r12\n\t"       \
  ".balign 4\n"
#define NEXT_TURN  \
  "cmp r0, lr\n\t" \
  "bne.w 2b\n\t"
#define END               \
  "add sp, #40\n\t"      \
  "pop {r4-r11, pc}\n\t"

/* Two taps of three positions and two channels. */
#if CREST_DUAL_ISSUE
/* A load or an extension beside each product. Two positions' taps and the weights, in lr, are loaded a step ahead: kernels
 * read 4 bytes behind the weights and 8 behind the widened patches. */
#define TILE_STEP                                           \
  "sxtb16 r12, lr, ror #8\n\t" "smlad r2, r8, r11, r2\n\t"  \
  "ldr.w r10, [r0, #8]\n\t"    "smlad r5, r8, r12, r5\n\t"  \
  "ldr.w r8, [r0, #12]!\n\t"   "smlad r3, r9, r11, r3\n\t"  \
  "ldr.w lr, [r1], #4\n\t"     "smlad r6, r9, r12, r6\n\t"  \
  "ldr.w r9, [r0, #4]\n\t"     "smlad r4, r10, r11, r4\n\t" \
  "sxtb16 r11, lr\n\t"         "smlad r7, r10, r12, r7\n\t"
/* r1 is a word ahead. */
#define TILE_START START(96) "adds r1, #4\n"
#define TILE_FIRST_TURN     \
  "ldr r0, [sp, #0]\n\t"    \
  "ldr lr, [r1, #-4]\n\t"   \
  "ldr.w r12, [sp, #8]\n\t" \
  "ldr.w r8, [r0]\n\t"      \
  "ldr.w r9, [r0, #4]\n\t"  \
  "sxtb16 r11, lr\n\t"      \
  "mov pc, r12\n\t"         \
  ".balign 8\n"
#define TILE_NEXT_TURN      \
  "ldr.w r10, [sp, #4]\n\t" \
  "cmp r0, r10\n\t"         \
  "bne.w 2b\n\t"
#else
#define TILE_STEP                \
  "ldm.w r0!, {r8, r9, r10}\n\t"   \
  "ldr.w r11, [r1], #4\n\t"      \
  CREST_TILE_PRODUCTS
#define TILE_START START(80)
#define TILE_FIRST_TURN FIRST_TURN
#define TILE_NEXT_TURN NEXT_TURN
#endif
#define TILE_GROUP TILE_STEP TILE_STEP

/* Three positions, all output channels. x: their patches as widen() leaves them. */
__attribute__((naked, noinline)) static void tile(const arguments *a __attribute__((unused)),
                                                  const int8_t *weights __attribute__((unused))) {
  __asm__ volatile(
      TILE_START
      "1:\n\t" /* a pair of channels */
      CREST_TILE_BIASES
      TILE_FIRST_TURN
      "2:\n\t" TILE_GROUP TILE_GROUP TILE_GROUP TILE_GROUP
      TILE_NEXT_TURN
      CREST_TILE_FINISH
      "3:\n\t" END);
}

/* Four taps of one position, and two pairs of channels: the weights of one behind r1, those of the other behind r6. */
#if CREST_DUAL_ISSUE
/* What stands on a line can be issued in one cycle. */
#define LINE_GROUP                                          \
  "ldr.w r8, [r0], #4\n\t"                                  \
  "sxtb16 r9, r8, ror #8\n\t"   "ldr.w r10, [r1], #4\n\t"   \
  "sxtb16 r8, r8\n\t"           "ldr.w r11, [r1], #4\n\t"   \
  "sxtb16 r12, r10, ror #8\n\t"                             \
  "sxtb16 r10, r10\n\t"         "smlad r3, r8, r12, r3\n\t" \
  "sxtb16 r7, r11, ror #8\n\t"  "smlad r2, r8, r10, r2\n\t" \
  "sxtb16 r11, r11\n\t"         "ldr.w r10, [r6], #4\n\t"   \
  "sxtb16 r12, r10, ror #8\n\t" "smlad r3, r9, r7, r3\n\t"  \
  "sxtb16 r10, r10\n\t"         "smlad r5, r8, r12, r5\n\t" \
  "smlad r2, r9, r11, r2\n\t"   "ldr.w r11, [r6], #4\n\t"   \
  "sxtb16 r7, r11, ror #8\n\t"  "smlad r4, r8, r10, r4\n\t" \
  "sxtb16 r11, r11\n\t"         "smlad r5, r9, r7, r5\n\t"  \
  "smlad r4, r9, r11, r4\n\t"
#define LINE_START START(92)
#else
#define LINE_PAIR(weights, even, odd)          \
  "ldrd r10, r11, [" weights "], #8\n\t"      \
  "sxtb16 r12, r10, ror #8\n\t"               \
  "sxtb16 r10, r10\n\t"                       \
  "smlad " odd ", r8, r12, " odd "\n\t"       \
  "smlad " even ", r8, r10, " even "\n\t"     \
  "sxtb16 r12, r11, ror #8\n\t"               \
  "sxtb16 r11, r11\n\t"                       \
  "smlad " odd ", r9, r12, " odd "\n\t"       \
  "smlad " even ", r9, r11, " even "\n\t"
#define LINE_GROUP            \
  "ldr.w r8, [r0], #4\n\t"   \
  "sxtb16 r9, r8, ror #8\n\t" \
  "sxtb16 r8, r8\n\t"        \
  LINE_PAIR("r1", "r2", "r3") LINE_PAIR("r6", "r4", "r5")
#define LINE_START START(84)
#endif
/* One channel: biases in r6, multipliers in r7, their step in r8, the output zero point in r9, outputs in r10. */
#define LINE_FINISH(s)                     \
  "ldr.w r12, [r6], #4\n\t"                \
  "ldr.w lr, [r7]\n\t"                     \
  "lsls " s ", " s ", #1\n\t"              \
  "subs.w r11, r11, #1\n\t"                \
  "and.w r12, r12, #31\n\t"                \
  "smmulr " s ", " s ", lr\n\t"            \
  "lsl.w r0, r9, r12\n\t"                  \
  "add r7, r8\n\t"                         \
  "add.w r12, r12, #1\n\t"                 \
  "add.w " s ", " s ", " s ", asr #31\n\t" \
  "add " s ", r0\n\t"                      \
  "asr.w " s ", " s ", r12\n\t"            \
  "ssat " s ", #8, " s "\n\t"              \
  "strb " s ", [r10], #1\n\t"              \
  "beq 3f\n\t"

/* One position, all output channels. x: its patch. */
__attribute__((naked, noinline)) static void line(const arguments *a __attribute__((unused)),
                                                  const int8_t *weights __attribute__((unused))) {
  __asm__ volatile(
      LINE_START
      "1:\n\t" /* two pairs of channels; where there is one left, it is computed twice */
      "ldr r0, [sp, #12]\n\t"
      "ldm r0!, {r2-r5}\n\t"
      "str r0, [sp, #12]\n\t"
      "ldr r6, [sp, #32]\n\t"
      "ldr r7, [sp, #36]\n\t"
      "cmp r7, #2\n\t"
      "it le\n\t"
      "movle r6, #0\n\t"
      "add r6, r1\n\t"
      "asrs r2, r2, #5\n\t"
      "asrs r3, r3, #5\n\t"
      "asrs r4, r4, #5\n\t"
      "asrs r5, r5, #5\n\t"
      FIRST_TURN
      "2:\n\t" LINE_GROUP LINE_GROUP LINE_GROUP LINE_GROUP
      NEXT_TURN
      "mov r1, r6\n\t"
      "ldr r6, [sp, #12]\n\t"
      "subs r6, #16\n\t"
      "ldr r7, [sp, #16]\n\t"
      "ldr.w r8, [sp, #20]\n\t"
      "ldr.w r9, [sp, #24]\n\t"
      "ldr.w r10, [sp, #28]\n\t"
      "ldr.w r11, [sp, #36]\n\t"
      LINE_FINISH("r2") LINE_FINISH("r3") LINE_FINISH("r4") LINE_FINISH("r5")
      "str r7, [sp, #16]\n\t"
      "str.w r10, [sp, #28]\n\t"
      "str.w r11, [sp, #36]\n\t"
      "b.w 1b\n"
      "3:\n\t" END);
}

/* Widens groups of four taps: taps 0 and 2, and 1 and 3 become a word each; the words of three patches alternate. */
__attribute__((noinline)) static uint32_t *widen(const int8_t *x, int32_t groups, uint32_t *to) {
  uint32_t a, b, t;
  if (groups & 1) {
    crest_quad quad = crest_load_quad(x);
    __builtin_memcpy(to, &quad.even, 4);
    __builtin_memcpy(to + TILE, &quad.odd, 4);
    x += 4, to += 2 * TILE;
  }
  if (!(groups >>= 1)) return to;
  __asm__ volatile(
      "1:\n\t"
      "ldr %[b], [%[x], #4]\n\t"
      "ldr %[a], [%[x]], #8\n\t"
      "sxtb16 %[t], %[a], ror #8\n\t"
      "str %[t], [%[to], #12]\n\t"
      "sxtb16 %[t], %[b], ror #8\n\t"
      "str %[t], [%[to], #36]\n\t"
      "sxtb16 %[b], %[b]\n\t"
      "str %[b], [%[to], #24]\n\t"
      "sxtb16 %[a], %[a]\n\t"
      "str %[a], [%[to]], #48\n\t"
      "subs %[groups], #1\n\t"
      "bne 1b"
      : [x] "+r"(x), [to] "+r"(to), [groups] "+r"(groups), [a] "=&r"(a), [b] "=&r"(b), [t] "=&r"(t)
      :
      : "cc", "memory");
  return to;
}

__attribute__((noinline)) static uint32_t *widen_padding(int32_t value, int32_t groups, uint32_t *to) {
  const uint32_t both = ((uint32_t)value & 0xFFFFu) * 0x10001u;
  for (; groups; groups--, to += 2 * TILE) to[0] = to[TILE] = both;
  return to;
}

/* The patch of one position, widened. */
static void widen_patch(const crest_weighted_s8_params *p, const int8_t *in, int32_t y, int32_t x, uint32_t *to,
                        int8_t *gathered) {
  const crest_window *w = &p->window;
  const int32_t top = y * w->stride_h - w->pad_top, left = x * w->stride_w - w->pad_left;
  const int inside = left >= 0 && left + (w->k_w - 1) * w->dilation_w < w->in_w;
  const int as_rows = inside && w->dilation_w == 1;
  const int32_t run = as_rows ? w->k_w * w->in_c : w->in_c;
  if (run % 4) {
    widen(crest_patch_s8(w, in, y, x, p->in_zero, gathered), (w->k_h * w->k_w * w->in_c + 3) / 4, to);
    return;
  }
  for (int32_t i = 0; i < w->k_h; i++) {
    const int32_t from_y = top + i * w->dilation_h;
    const int8_t *line = in + (from_y * w->in_w + left) * w->in_c;
    if (from_y < 0 || from_y >= w->in_h) {
      to = widen_padding(p->in_zero, w->k_w * w->in_c / 4, to);
    } else if (as_rows) {
      to = widen(line, run / 4, to);
    } else {
      for (int32_t j = 0; j < w->k_w; j++) {
        const int32_t at = j * w->dilation_w;
        const int outside = left + at < 0 || left + at >= w->in_w;
        to = outside ? widen_padding(p->in_zero, run / 4, to) : widen(line + at * w->in_c, run / 4, to);
      }
    }
  }
}

static arguments start(const crest_weighted_s8_params *p, const void *x, const void *x_end, int32_t groups, int32_t distance) {
  arguments a = {.x = x, .x_end = x_end, .skip = -groups & 3, .biases = p->biases, .multipliers = p->multipliers,
                 .multiplier_step = p->multiplier_step, .twice_out_zero_plus_one = 2 * p->out_zero + 1,
                 .distance = distance, .channels = p->window.out_c};
  return a;
}

static void one_patch(const crest_weighted_s8_params *p, const int8_t *x, int32_t groups, int8_t *out) {
  arguments a = start(p, x, x + 4 * groups, groups, 8 * groups);
  a.out = out;
  line(&a, p->weights);
}

#else

static void one_patch(const crest_weighted_s8_params *p, const int8_t *x, int32_t groups, int8_t *out) {
  const int8_t *w = p->weights;
  crest_finish finish = crest_finish_at(p, 0);
  for (int32_t left = p->window.out_c; left > 0; left -= 2) {
    int32_t s0 = finish.bias[0] >> 5, s1 = finish.bias[1] >> 5;
    for (int32_t k = 0; k < 4 * groups; k += 4, w += 8) {
      s0 += x[k] * w[0] + x[k + 2] * w[2] + x[k + 1] * w[4] + x[k + 3] * w[6];
      s1 += x[k] * w[1] + x[k + 2] * w[3] + x[k + 1] * w[5] + x[k + 3] * w[7];
    }
    *out++ = crest_finish_next(&finish, s0);
    if (left > 1) *out++ = crest_finish_next(&finish, s1);
  }
}

#endif

void crest_conv2d_pairs_s8(const crest_weighted_s8_params *p, const int8_t *in, int8_t *out, int8_t *scratch) {
  const crest_window *w = &p->window;
  const int32_t groups = (w->k_h * w->k_w * w->in_c + 3) / 4;
  const int32_t positions = w->out_h * w->out_w;
  int8_t *const first = out;
  int32_t y = 0, x = 0, position = 0;
#if CREST_DSP
  int8_t *gathered = positions >= TILE ? scratch + 8 * TILE * groups : scratch;
  uint32_t *widened = (uint32_t *)scratch;
  arguments a = start(p, widened, widened + 2 * TILE * groups, groups, w->out_c);
  /* Every position of the input is a patch. */
  const int pointwise = positions == w->in_h * w->in_w && w->k_h * w->k_w == 1 && w->pad_top == 0 && w->pad_left == 0;
  for (; position + TILE <= positions; position += TILE, out += TILE * w->out_c) {
    for (int32_t i = 0; i < TILE; i++) {
      if (pointwise) {
        widen(in + (position + i) * w->in_c, groups, widened + i);
      } else {
        widen_patch(p, in, y, x, widened + i, gathered);
      }
      if (++x == w->out_w) x = 0, y++;
    }
    a.out = out;
    tile(&a, p->weights);
  }
#else
  int8_t *gathered = scratch;
#endif
  for (; position < positions; position++, out += w->out_c) {
    one_patch(p, crest_patch_s8(w, in, y, x, p->in_zero, gathered), groups, out);
    if (++x == w->out_w) x = 0, y++;
  }
  crest_bound_s8(first, positions * w->out_c, p->act_min, p->act_max);
}

void crest_dense_pairs_s8(const crest_weighted_s8_params *p, const int8_t *in, int8_t *out) {
  one_patch(p, in, (p->window.in_c + 3) / 4, out);
  crest_bound_s8(out, p->window.out_c, p->act_min, p->act_max);
}
