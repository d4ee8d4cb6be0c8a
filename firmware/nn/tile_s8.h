/* SPDX-License-Identifier: Apache-2.0 */
/* What the assembly of the convolutions for cores with the DSP extension shares. */
#ifndef CREST_TILE_S8_H
#define CREST_TILE_S8_H

/* From a sum in register s to its int8 value: multiplier in lr, addend in r0. */
#define CREST_FINISH(s, shift)             \
  "lsls " s ", " s ", #1\n\t"              \
  "smmulr " s ", " s ", lr\n\t"            \
  "add.w " s ", " s ", " s ", asr #31\n\t" \
  "add " s ", " s ", r0\n\t"               \
  "asr.w " s ", " s ", " shift "\n\t"      \
  "ssat " s ", #8, " s "\n\t"

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
/* Adds the products of two taps: of three positions in r8 to r10, and of the two channels in the bytes of r11. */
#define CREST_TILE_PRODUCTS        \
  "sxtb16 r12, r11, ror #8\n\t"  \
  "sxtb16 r11, r11\n\t"          \
  "smlad r2, r8, r11, r2\n\t"    \
  "smlad r3, r9, r11, r3\n\t"    \
  "smlad r4, r10, r11, r4\n\t"   \
  "smlad r5, r8, r12, r5\n\t"    \
  "smlad r6, r9, r12, r6\n\t"    \
  "smlad r7, r10, r12, r7\n\t"
/* Stores their int8 values; goes to 1 for the next two channels, to 3 behind the last. Leaves r1 alone. */
#define CREST_TILE_FINISH                                                                       \
  "ldr r0, [sp, #12]\n\t"                                                                       \
  "ldr.w r8, [sp, #16]\n\t"                                                                     \
  "ldr.w r9, [sp, #20]\n\t"                                                                     \
  "ldr.w r10, [sp, #24]\n\t"                                                                    \
  "ldrd r11, r12, [r0, #-8]\n\t"                                                                \
  "ldr.w lr, [r8]\n\t"                                                                          \
  "and.w r11, r11, #31\n\t"                                                                     \
  "and.w r12, r12, #31\n\t"                                                                     \
  "lsl.w r0, r10, r11\n\t"                                                                      \
  "add.w r11, r11, #1\n\t"                                                                      \
  CREST_FINISH("r2", "r11") CREST_FINISH("r3", "r11") CREST_FINISH("r4", "r11")                 \
  "add r8, r9\n\t"                                                                              \
  "ldr.w lr, [r8]\n\t"                                                                          \
  "add r8, r9\n\t"                                                                              \
  "str.w r8, [sp, #16]\n\t"                                                                     \
  "lsl.w r0, r10, r12\n\t"                                                                      \
  "add.w r12, r12, #1\n\t"                                                                      \
  CREST_FINISH("r5", "r12") CREST_FINISH("r6", "r12") CREST_FINISH("r7", "r12")                 \
  "ldr r0, [sp, #28]\n\t"                                                                       \
  "ldr.w r8, [sp, #32]\n\t"                                                                     \
  "ldr.w r9, [sp, #36]\n\t"                                                                     \
  "strb.w r3, [r0, r8]\n\t"                                                                     \
  "strb.w r4, [r0, r8, lsl #1]\n\t"                                                             \
  "strb r2, [r0], #1\n\t"                                                                       \
  "subs.w r9, r9, #2\n\t"                                                                       \
  "blt 3f\n\t" /* the second of the last pair only fills it up */                               \
  "strb.w r6, [r0, r8]\n\t"                                                                     \
  "strb.w r7, [r0, r8, lsl #1]\n\t"                                                             \
  "strb r5, [r0], #1\n\t"                                                                       \
  "str r0, [sp, #28]\n\t"                                                                       \
  "str.w r9, [sp, #36]\n\t"                                                                     \
  "bne.w 1b\n"

#endif
