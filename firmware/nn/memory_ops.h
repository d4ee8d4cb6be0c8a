/* SPDX-License-Identifier: Apache-2.0 */
/* memcpy and memset come with every compiler's run-time library, their header does not. */
#ifndef CREST_MEMORY_OPS_H
#define CREST_MEMORY_OPS_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memset(void *to, int value, size_t bytes);

/* Copies bytes, and on cores that load words from anywhere up to 3 more, which both sides must bear. */
static inline void crest_copy_over(void *to, const void *from, int32_t bytes) {
#if defined(__ARM_FEATURE_UNALIGNED) && __ARM_FEATURE_UNALIGNED
  for (int32_t i = 0; i < bytes; i += 4) __builtin_memcpy((char *)to + i, (const char *)from + i, 4);
#else
  memcpy(to, from, (size_t)bytes);
#endif
}

#endif
