/* SPDX-License-Identifier: Apache-2.0 */
/* Inference kernels. Tensors are NHWC with batch 1; int8 results equal TFLite Micro's reference kernels bit for bit. */
#ifndef CREST_NN_H
#define CREST_NN_H

#include <stdint.h>

#ifdef CREST_MEASURE
void crest_layer_mark(uint32_t layer);
#define CREST_LAYER(index) crest_layer_mark(index)
#else
#define CREST_LAYER(index) ((void)0)
#endif

/* Requantization of one output channel. The input zero point is folded into the bias:
 * bias = original bias - input zero point * sum of the channel's weights. No sum of the channel, shifted to the left where
 * shift is positive, may reach 2^30. */
typedef struct {
  int32_t bias;
  int32_t multiplier; /* Q31 */
  int32_t shift;      /* to the left where positive, rounding to the right where negative */
} crest_channel;

typedef struct {
  int32_t in_h, in_w, in_c;
  int32_t out_h, out_w, out_c;
  int32_t k_h, k_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
} crest_window;

typedef struct {
  crest_window window;
  int32_t in_zero; /* padding taps read this value */
  int32_t out_zero, act_min, act_max;
  const int8_t *weights; /* [out_c][k_h][k_w][in_c]; depthwise [k_h][k_w][out_c] */
  const crest_channel *channels;
} crest_conv2d_s8_params;

typedef struct {
  crest_window window;
  float act_min, act_max;
  const float *weights;
  const float *bias;
} crest_conv2d_f32_params;

typedef struct {
  int32_t left_zero, right_zero, out_zero;
  int32_t left_multiplier, left_shift, right_multiplier, right_shift, out_multiplier, out_shift;
  int32_t act_min, act_max;
} crest_add_s8_params;

typedef struct {
  int32_t in_zero, out_zero, multiplier, shift, act_min, act_max;
} crest_relu_s8_params;

/* The elements of a tensor seen as [outer][count][inner], averaged over count. */
typedef struct {
  int32_t outer, count, inner;
  int32_t in_zero, out_zero, multiplier, shift; /* the multiplier holds the division by count */
} crest_mean_s8_params;

typedef struct {
  int32_t outer, depth;
  int32_t multiplier, shift; /* from a difference of inputs to Q5.26 */
  int32_t difference_min;    /* anything further below the largest input counts as nothing */
} crest_softmax_s8_params;

/* Copies a box of a 4-dimensional tensor; sizes and strides in elements of the source, elements of element_bytes. */
typedef struct {
  int32_t count[4];
  int32_t stride[4];
  int32_t offset;
  int32_t element_bytes;
} crest_slice_params;

/* Places a 4-dimensional tensor in a larger one whose other elements are filled. */
typedef struct {
  int32_t in[4];
  int32_t before[4];
  int32_t out[4];
  int32_t element_bytes;
  int32_t fill; /* byte value, the same for every byte of an element */
} crest_pad_params;

/* scratch: 2 * k_h * k_w * in_c bytes, or null where every patch lies contiguously in the input */
void crest_conv2d_s8(const crest_conv2d_s8_params *p, const int8_t *in, int8_t *out, int8_t *scratch);
/* scratch: 8 * k_h * k_w + in_c bytes, aligned to 4, within 2 GiB of the input; out_c is a multiple of in_c */
void crest_depthwise_s8(const crest_conv2d_s8_params *p, const int8_t *in, int8_t *out, int8_t *scratch);
void crest_dense_s8(const crest_conv2d_s8_params *p, const int8_t *in, int8_t *out);
/* The same where a sum, shifted to the left where its channel asks for it, may reach 2^30. */
void crest_conv2d_wide_s8(const crest_conv2d_s8_params *p, const int8_t *in, int8_t *out, int8_t *scratch);
void crest_depthwise_wide_s8(const crest_conv2d_s8_params *p, const int8_t *in, int8_t *out, int8_t *scratch);
void crest_dense_wide_s8(const crest_conv2d_s8_params *p, const int8_t *in, int8_t *out);
/* Element-wise kernels may write over an operand of the size of their result. */
void crest_add_s8(const crest_add_s8_params *p, const int8_t *left, const int8_t *right, int8_t *out, int32_t n);
void crest_relu_s8(const crest_relu_s8_params *p, const int8_t *in, int8_t *out, int32_t n);
void crest_max_pool_s8(const crest_window *w, const int8_t *in, int8_t *out, int32_t act_min, int32_t act_max);
void crest_average_pool_s8(const crest_window *w, const int8_t *in, int8_t *out, int32_t act_min, int32_t act_max);
void crest_mean_s8(const crest_mean_s8_params *p, const int8_t *in, int8_t *out);
void crest_softmax_s8(const crest_softmax_s8_params *p, const int8_t *in, int8_t *out);

void crest_conv2d_f32(const crest_conv2d_f32_params *p, const float *in, float *out);
void crest_add_f32(const float *left, const float *right, float *out, int32_t n, float act_min, float act_max);
void crest_relu_f32(const float *in, float *out, int32_t n, float act_max);
void crest_max_pool_f32(const crest_window *w, const float *in, float *out, float act_min, float act_max);
void crest_depthwise_f32(const crest_conv2d_f32_params *p, const float *in, float *out);
void crest_average_pool_f32(const crest_window *w, const float *in, float *out, float act_min, float act_max);
void crest_mean_f32(const float *in, float *out, int32_t outer, int32_t count, int32_t inner);
void crest_softmax_f32(const float *in, float *out, int32_t outer, int32_t depth, float beta);

void crest_slice(const crest_slice_params *p, const void *in, void *out);
void crest_pad(const crest_pad_params *p, const void *in, void *out);

#endif
