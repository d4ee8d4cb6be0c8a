/* SPDX-License-Identifier: Apache-2.0 */
/* memcpy and memset come with every compiler's run-time library, their header does not. */
#ifndef CREST_MEMORY_OPS_H
#define CREST_MEMORY_OPS_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memset(void *to, int value, size_t bytes);

#endif
