/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution and dense layer for cores with the DSP extension: SMLAD multiplies two taps at a time. Three positions of a
 * convolution share each load of weights; their patches are widened to 16 bits once for all channels. */
#include "bounds_s8.h"
#include "crest_nn.h"
#include "dot_s8.h"
#include "patch.h"
#include "requantise.h"

#define TILE 3

#if CREST_DSP

/* What the tile kernel works on; it copies all of it to its stack. The order is known to the assembly. */
typedef struct {
  const uint32_t *x, *x_end; /* taps of the three patches, see widen() */
  int32_t skip;              /* groups of taps by which the first turn of the unrolled loop is shorter */
  const int32_t *biases, *multipliers;
  int32_t multiplier_step, twice_out_zero_plus_one;
  int8_t *out;
  int32_t pitch, channels;
} tile_arguments;

/* Two taps of three positions and two channels. */
#define STEP                     \
  "ldm.w r0!, {r8, r9, r10}\n\t"   \
  "ldr.w r11, [r1], #4\n\t"      \
  "sxtb16 r12, r11, ror #8\n\t"  \
  "sxtb16 r11, r11\n\t"          \
  "smlad r2, r8, r11, r2\n\t"    \
  "smlad r3, r9, r11, r3\n\t"    \
  "smlad r4, r10, r11, r4\n\t"   \
  "smlad r5, r8, r12, r5\n\t"    \
  "smlad r6, r9, r12, r6\n\t"    \
  "smlad r7, r10, r12, r7\n\t"
#define GROUP STEP STEP /* 80 bytes */
/* A sum in s becomes its int8 value: multiplier in lr, addend in r0, shift. */
#define FINISH(s, shift)                 \
  "lsls " s ", " s ", #1\n\t"            \
  "smmulr " s ", " s ", lr\n\t"          \
  "add.w " s ", " s ", " s ", asr #31\n\t" \
  "add " s ", " s ", r0\n\t"             \
  "asr.w " s ", " s ", " shift "\n\t"    \
  "ssat " s ", #8, " s "\n\t"

/* Three positions, all output channels. */
__attribute__((naked, noinline)) static void tile(const tile_arguments *arguments __attribute__((unused)),
                                                  const int8_t *weights __attribute__((unused))) {
  __asm__ volatile(
      ".syntax unified\n\t"
      "push {r4-r11, lr}\n\t"
      "ldm r0, {r2-r11}\n\t"
      "push {r2-r11}\n\t"
      "adr.w r12, 2f\n\t"
      "mov.w lr, #80\n\t"
      "mla r12, r4, lr, r12\n\t"
      "str.w r12, [sp, #8]\n"
      "1:\n\t" /* a pair of channels */
      "ldr r0, [sp, #12]\n\t"
      "ldrd r2, r5, [r0], #8\n\t"
      "str r0, [sp, #12]\n\t"
      "asrs r2, r2, #5\n\t"
      "asrs r5, r5, #5\n\t"
      "mov r3, r2\n\t"
      "mov r4, r2\n\t"
      "mov r6, r5\n\t"
      "mov r7, r5\n\t"
      "ldr r0, [sp, #0]\n\t"
      "ldr.w lr, [sp, #4]\n\t"
      "ldr.w r12, [sp, #8]\n\t"
      "mov pc, r12\n\t"
      ".balign 4\n"
      "2:\n\t" GROUP GROUP GROUP GROUP
      "cmp r0, lr\n\t"
      "bne.w 2b\n\t"
      "ldr r0, [sp, #12]\n\t"
      "ldr.w r8, [sp, #16]\n\t"
      "ldr.w r9, [sp, #20]\n\t"
      "ldr.w r10, [sp, #24]\n\t"
      "ldrd r11, r12, [r0, #-8]\n\t"
      "ldr.w lr, [r8]\n\t"
      "and.w r11, r11, #31\n\t"
      "and.w r12, r12, #31\n\t"
      "lsl.w r0, r10, r11\n\t"
      "add.w r11, r11, #1\n\t"
      FINISH("r2", "r11") FINISH("r3", "r11") FINISH("r4", "r11")
      "add r8, r9\n\t"
      "ldr.w lr, [r8]\n\t"
      "add r8, r9\n\t"
      "str.w r8, [sp, #16]\n\t"
      "lsl.w r0, r10, r12\n\t"
      "add.w r12, r12, #1\n\t"
      FINISH("r5", "r12") FINISH("r6", "r12") FINISH("r7", "r12")
      "ldr r0, [sp, #28]\n\t"
      "ldr.w r8, [sp, #32]\n\t"
      "ldr.w r9, [sp, #36]\n\t"
      "strb.w r3, [r0, r8]\n\t"
      "strb.w r4, [r0, r8, lsl #1]\n\t"
      "strb r2, [r0], #1\n\t"
      "subs.w r9, r9, #2\n\t"
      "blt 3f\n\t" /* the second of the last pair only fills it up */
      "strb.w r6, [r0, r8]\n\t"
      "strb.w r7, [r0, r8, lsl #1]\n\t"
      "strb r5, [r0], #1\n\t"
      "str r0, [sp, #28]\n\t"
      "str.w r9, [sp, #36]\n\t"
      "bne.w 1b\n"
      "3:\n\t"
      "add sp, #40\n\t"
      "pop {r4-r11, pc}\n\t");
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
      "ldr %[a], [%[x]], #4\n\t"
      "ldr %[b], [%[x]], #4\n\t"
      "sxtb16 %[t], %[a], ror #8\n\t"
      "sxtb16 %[a], %[a]\n\t"
      "str %[t], [%[to], #12]\n\t"
      "sxtb16 %[t], %[b], ror #8\n\t"
      "sxtb16 %[b], %[b]\n\t"
      "str %[t], [%[to], #36]\n\t"
      "str %[b], [%[to], #24]\n\t"
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

/* Adds to the sums of two pairs of channels. */
static void add_products(const int8_t *x, int32_t groups, const int8_t *first, const int8_t *second, int32_t *sums) {
  int32_t s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
  int32_t a, b, u, v, t;
  const int8_t *end = x + 4 * groups;
  __asm__ volatile(
      "1:\n\t"
      "ldr %[a], [%[x]], #4\n\t"
      "ldrd %[u], %[v], [%[w0]], #8\n\t"
      "sxtb16 %[b], %[a], ror #8\n\t"
      "sxtb16 %[a], %[a]\n\t"
      "sxtb16 %[t], %[u], ror #8\n\t"
      "sxtb16 %[u], %[u]\n\t"
      "smlad %[s1], %[a], %[t], %[s1]\n\t"
      "smlad %[s0], %[a], %[u], %[s0]\n\t"
      "sxtb16 %[t], %[v], ror #8\n\t"
      "sxtb16 %[v], %[v]\n\t"
      "smlad %[s1], %[b], %[t], %[s1]\n\t"
      "smlad %[s0], %[b], %[v], %[s0]\n\t"
      "ldrd %[u], %[v], [%[w1]], #8\n\t"
      "cmp %[x], %[end]\n\t"
      "sxtb16 %[t], %[u], ror #8\n\t"
      "sxtb16 %[u], %[u]\n\t"
      "smlad %[s3], %[a], %[t], %[s3]\n\t"
      "smlad %[s2], %[a], %[u], %[s2]\n\t"
      "sxtb16 %[t], %[v], ror #8\n\t"
      "sxtb16 %[v], %[v]\n\t"
      "smlad %[s3], %[b], %[t], %[s3]\n\t"
      "smlad %[s2], %[b], %[v], %[s2]\n\t"
      "bne 1b"
      : [s0] "+r"(s0), [s1] "+r"(s1), [s2] "+r"(s2), [s3] "+r"(s3), [x] "+r"(x), [w0] "+r"(first), [w1] "+r"(second),
        [a] "=&r"(a), [b] "=&r"(b), [u] "=&r"(u), [v] "=&r"(v), [t] "=&r"(t)
      : [end] "r"(end)
      : "cc", "memory");
  sums[0] = s0, sums[1] = s1, sums[2] = s2, sums[3] = s3;
}

#else

static void add_products(const int8_t *x, int32_t groups, const int8_t *first, const int8_t *second, int32_t *sums) {
  for (; groups; groups--, x += 4, first += 8, second += 8) {
    sums[0] += x[0] * first[0] + x[2] * first[2] + x[1] * first[4] + x[3] * first[6];
    sums[1] += x[0] * first[1] + x[2] * first[3] + x[1] * first[5] + x[3] * first[7];
    sums[2] += x[0] * second[0] + x[2] * second[2] + x[1] * second[4] + x[3] * second[6];
    sums[3] += x[0] * second[1] + x[2] * second[3] + x[1] * second[5] + x[3] * second[7];
  }
}

#endif

/* All output channels of one patch, up to four at a time. */
static void one_patch(const crest_weighted_s8_params *p, const int8_t *x, int32_t groups, int8_t *out) {
  crest_finish finish = crest_finish_at(p, 0);
  const int8_t *w = p->weights;
  for (int32_t left = p->window.out_c; left > 0; left -= 4, w += 16 * groups) {
    int32_t sums[4];
    const int32_t count = left < 4 ? left : 4;
    for (int32_t i = 0; i < 4; i++) sums[i] = i < count ? finish.bias[i] >> 5 : 0;
    add_products(x, groups, w, left > 2 ? w + 8 * groups : w, sums);
    for (int32_t i = 0; i < count; i++) *out++ = crest_finish_next(&finish, sums[i]);
  }
}

void crest_conv2d_pairs_s8(const crest_weighted_s8_params *p, const int8_t *in, int8_t *out, int8_t *scratch) {
  const crest_window *w = &p->window;
  const int32_t groups = (w->k_h * w->k_w * w->in_c + 3) / 4;
  const int32_t positions = w->out_h * w->out_w;
  int8_t *const first = out;
  int32_t y = 0, x = 0, position = 0;
#if CREST_DSP
  int8_t *gathered = positions >= TILE ? scratch + 8 * TILE * groups : scratch;
  uint32_t *widened = (uint32_t *)scratch;
  tile_arguments a = {.x = widened, .x_end = widened + 2 * TILE * groups, .skip = -groups & 3, .biases = p->biases,
                      .multipliers = p->multipliers, .multiplier_step = p->multiplier_step,
                      .twice_out_zero_plus_one = 2 * p->out_zero + 1, .pitch = w->out_c, .channels = w->out_c};
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
