/* SPDX-License-Identifier: Apache-2.0 */
#include "broadcast.h"
#include "crest_nn.h"

typedef enum { ADD, SUB, MUL } operation;

static inline float combined(float a, float b, operation what) {
  return what == ADD ? a + b : what == SUB ? a - b : a * b;
}

static inline void binary(const int32_t *loops, const float *left, const float *right, float *out, float act_min,
                          float act_max, operation what) {
  const int32_t n = crest_run_length(loops), left_step = crest_left_step(loops), right_step = crest_right_step(loops);
  crest_runs runs = {{0, 0, 0}, 0, 0};
  do {
    const float *l = left + runs.left, *r = right + runs.right;
    for (int32_t i = 0; i < n; i++, l += left_step, r += right_step) {
      const float value = combined(*l, *r, what);
      *out++ = value < act_min ? act_min : value > act_max ? act_max : value;
    }
  } while (crest_next_run(loops, &runs));
}

void crest_add_f32(const int32_t *loops, const float *left, const float *right, float *out, float act_min, float act_max) {
  binary(loops, left, right, out, act_min, act_max, ADD);
}

void crest_sub_f32(const int32_t *loops, const float *left, const float *right, float *out, float act_min, float act_max) {
  binary(loops, left, right, out, act_min, act_max, SUB);
}

void crest_mul_f32(const int32_t *loops, const float *left, const float *right, float *out, float act_min, float act_max) {
  binary(loops, left, right, out, act_min, act_max, MUL);
}
