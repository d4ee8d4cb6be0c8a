/* SPDX-License-Identifier: Apache-2.0 */
#include "crest_nn.h"
#include "exp_f32.h"

void crest_softmax_f32(const float *in, float *out, int32_t outer, int32_t depth, float beta) {
  for (int32_t o = 0; o < outer; o++, in += depth, out += depth) {
    float largest = in[0], sum = 0.0f;
    for (int32_t i = 1; i < depth; i++) largest = in[i] > largest ? in[i] : largest;
    for (int32_t i = 0; i < depth; i++) {
      out[i] = crest_exponential((in[i] - largest) * beta);
      sum += out[i];
    }
    for (int32_t i = 0; i < depth; i++) out[i] /= sum;
  }
}
