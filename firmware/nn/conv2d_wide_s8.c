/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution and dense layer with requantization that is exact for every sum. */
#define CREST_WIDE
#define crest_conv2d_s8 crest_conv2d_wide_s8
#define crest_dense_s8 crest_dense_wide_s8
#include "conv2d_s8.c"
