/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise convolution with requantization that is exact for every sum. */
#define CREST_WIDE
#define crest_depthwise_s8 crest_depthwise_wide_s8
#include "depthwise_s8.c"
