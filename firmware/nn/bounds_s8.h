/* SPDX-License-Identifier: Apache-2.0 */
/* The bounds of an activation, for layers whose outputs are saturated to int8 already. */
#ifndef CREST_BOUNDS_S8_H
#define CREST_BOUNDS_S8_H

#include <stdint.h>

/* Clamps n values in place; costs nothing where the bounds are those of int8. */
void crest_bound_s8(int8_t *values, int32_t n, int32_t low, int32_t high);

#endif
