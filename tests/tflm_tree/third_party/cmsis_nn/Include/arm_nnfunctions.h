/* SPDX-License-Identifier: Apache-2.0 */
/* Stand-in: one kernel, with an interface of its own. */
#ifndef STAND_IN_NNFUNCTIONS_H
#define STAND_IN_NNFUNCTIONS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t multiplier, shift, in_offset, out_offset, lowest, depth, units;
} stand_in_fc_params;

void arm_fully_connected_s8(const stand_in_fc_params *params, const int8_t *in, const int8_t *weights,
                            const int32_t *bias, int8_t *out);

#ifdef __cplusplus
}
#endif

#endif
