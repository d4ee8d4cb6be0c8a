/* SPDX-License-Identifier: Apache-2.0 */
/* What the assembly of the convolutions for cores with the DSP extension shares. */
#ifndef CREST_TILE_S8_H
#define CREST_TILE_S8_H

/* The arguments on the stack: biases at 12, multipliers at 16, their step at 20, 2 * output zero point + 1 at 24, outputs at
 * 28, bytes from one position's outputs to the next at 32, channels to go at 36. */

/* Sums of two channels at three positions, r2 to r4 and r5 to r7, from their biases. */
#define CREST_TILE_BIASES          \
  "ldr r0, [sp, #12]\n\t"          \
  "ldrd r2, r5, [r0], #8\n\t"      \
  "str r0, [sp, #12]\n\t"          \
  "asrs r2, r2, #5\n\t"            \
  "asrs r5, r5, #5\n\t"            \
  "mov r3, r2\n\t"                 \
  "mov r4, r2\n\t"                 \
  "mov r6, r5\n\t"                 \
  "mov r7, r5\n\t"
/* Two taps: of three positions in r8 to r10, and of the two channels in the bytes of r11. */
#define CREST_TILE_PRODUCTS        \
  "sxtb16 r12, r11, ror #8\n\t"  \
  "sxtb16 r11, r11\n\t"          \
  "smlad r2, r8, r11, r2\n\t"    \
  "smlad r3, r9, r11, r3\n\t"    \
  "smlad r4, r10, r11, r4\n\t"   \
  "smlad r5, r8, r12, r5\n\t"    \
  "smlad r6, r9, r12, r6\n\t"    \
  "smlad r7, r10, r12, r7\n\t"
/* Stores their int8 values; goes to 1 for the next two channels, to 3 behind the last. Leaves r1 alone. Multipliers in lr and
 * r0, addends in r8 and r9, shifts in r11 and r12. What stands on a line can be issued in one cycle; in the last pair of
 * channels, the second may only fill it up. */
#define CREST_TILE_FINISH                                  \
  "ldr.w r9, [sp, #20]\n\t" "ldr.w r8, [sp, #16]\n\t"      \
  "ldr r0, [sp, #12]\n\t" "ldr.w r10, [sp, #24]\n\t"       \
  "lsls r2, r2, #1\n\t" "lsls r3, r3, #1\n\t"              \
  "ldrd r11, r12, [r0, #-8]\n\t"                           \
  "lsls r6, r6, #1\n\t" "ldr.w r0, [r8, r9]\n\t"           \
  "ldr.w lr, [r8]\n\t" "lsls r7, r7, #1\n\t"               \
  "smmulr r7, r7, r0\n\t"                                  \
  "smmulr r3, r3, lr\n\t" "add.w r8, r8, r9, lsl #1\n\t"   \
  "str.w r8, [sp, #16]\n\t" "and.w r11, r11, #31\n\t"      \
  "lsls r5, r5, #1\n\t" "smmulr r6, r6, r0\n\t"            \
  "smmulr r2, r2, lr\n\t" "add.w r3, r3, r3, asr #31\n\t"  \
  "lsl.w r8, r10, r11\n\t" "and.w r12, r12, #31\n\t"       \
  "lsls r4, r4, #1\n\t" "smmulr r4, r4, lr\n\t"            \
  "add.w r6, r6, r6, asr #31\n\t" "add.w r11, r11, #1\n\t" \
  "lsl.w r9, r10, r12\n\t" "add.w r7, r7, r7, asr #31\n\t" \
  "add.w r12, r12, #1\n\t" "add.w r4, r4, r4, asr #31\n\t" \
  "add r7, r7, r9\n\t" "add.w r2, r2, r2, asr #31\n\t"     \
  "smmulr r5, r5, r0\n\t" "add r3, r3, r8\n\t"             \
  "add r2, r2, r8\n\t" "add r6, r6, r9\n\t"                \
  "asr.w r2, r2, r11\n\t" "asr.w r3, r3, r11\n\t"          \
  "add r4, r4, r8\n\t" "asr.w r4, r4, r11\n\t"             \
  "ssat r3, #8, r3\n\t" "asr.w r6, r6, r12\n\t"            \
  "ssat r4, #8, r4\n\t" "ldr.w r10, [sp, #28]\n\t"         \
  "ldr.w r11, [sp, #32]\n\t" "ldr.w lr, [sp, #36]\n\t"     \
  "ssat r6, #8, r6\n\t" "asr.w r7, r7, r12\n\t"            \
  "add.w r5, r5, r5, asr #31\n\t" "subs.w lr, lr, #2\n\t"  \
  "add r5, r5, r9\n\t" "strb.w r4, [r10, r11, lsl #1]\n\t" \
  "ssat r2, #8, r2\n\t" "asr.w r5, r5, r12\n\t"            \
  "ssat r7, #8, r7\n\t" "strb.w r3, [r10, r11]\n\t"        \
  "ssat r5, #8, r5\n\t" "strb r2, [r10], #1\n\t"           \
  "blt 3f\n\t" "strb.w r7, [r10, r11, lsl #1]\n\t"         \
  "strb.w r6, [r10, r11]\n\t" "strb r5, [r10], #1\n\t"     \
  "str.w r10, [sp, #28]\n\t" "str.w lr, [sp, #36]\n\t"     \
  "bne.w 1b\n"

#endif
