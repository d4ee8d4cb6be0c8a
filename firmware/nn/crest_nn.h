/* SPDX-License-Identifier: Apache-2.0 */
/* Inference kernels. Tensors are NHWC with batch 1; integer results equal TFLite Micro's reference kernels bit for bit. */
#ifndef CREST_NN_H
#define CREST_NN_H

#include <stdint.h>

#ifdef CREST_MEASURE
void crest_layer_mark(uint32_t layer);
#define CREST_LAYER(index) crest_layer_mark(index)
#else
#define CREST_LAYER(index) ((void)0)
#endif

typedef struct {
  int32_t in_h, in_w, in_c;
  int32_t out_h, out_w, out_c;
  int32_t k_h, k_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
} crest_window;

/* A layer with weights. The input zero point is folded into the biases: bias = original bias - input zero point * sum of the
 * channel's weights. The factor of a channel is multiplier / 2^(31 + shift) with shift from 1 to 31, and no value before the
 * last shift may leave 32 bits. */
typedef struct {
  crest_window window;
  int32_t in_zero; /* padding taps read this value */
  int32_t out_zero, act_min, act_max;
  int32_t multiplier_step; /* bytes from one channel's multiplier to the next: 4, or 0 where all share one */
  const void *weights;     /* bytes in the order that the kernel wants, aligned to 4 */
  const int32_t *biases;   /* bias * 32 + shift - 1; filled up to a multiple of 4 */
  const int32_t *multipliers;
} crest_weighted_s8_params;

/* Requantization of one output channel by any factor. */
typedef struct {
  int32_t bias;
  int32_t multiplier; /* Q31 */
  int32_t shift;      /* to the left where positive, rounding to the right where negative */
} crest_channel;

/* A layer with weights whose sums or factors may be of any size. */
typedef struct {
  crest_window window;
  int32_t in_zero, out_zero, act_min, act_max;
  const int8_t *weights; /* [out_c][k_h][k_w][in_c]; depthwise [k_h][k_w][out_c] */
  const crest_channel *channels;
} crest_wide_s8_params;

typedef struct {
  crest_window window;
  float act_min, act_max;
  const float *weights;
  const float *bias;
} crest_conv2d_f32_params;

/* (left * left_factor / 256 + right * right_factor / 256 + offset) / 2^21, every division rounded down. No sum of the three may
 * leave 32 bits. */
typedef struct {
  int32_t left_factor, right_factor, offset;
  int32_t act_min, act_max;
} crest_sum_s8_params;

typedef struct {
  int32_t left_zero, right_zero, out_zero;
  int32_t left_multiplier, left_shift, right_multiplier, right_shift, out_multiplier, out_shift;
  int32_t right_sign; /* -1 subtracts */
  int32_t act_min, act_max;
} crest_add_s8_params;

/* No product, shifted to the left where shift is positive, may reach 2^30. */
typedef struct {
  int32_t left_zero, right_zero, out_zero;
  int32_t multiplier, shift;
  int32_t act_min, act_max;
} crest_mul_s8_params;

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

/* Gathers runs of bytes, in four nested loops, behind each other. */
typedef struct {
  int32_t count[4];
  int32_t step_bytes[4];
  int32_t offset_bytes;
  int32_t run_bytes;
} crest_gather_params;

/* Places a 4-dimensional tensor in a larger one whose other elements are filled. */
typedef struct {
  int32_t in[4];
  int32_t before[4];
  int32_t out[4];
  int32_t element_bytes;
  int32_t fill; /* byte value, the same for every byte of an element */
} crest_pad_params;

/* A tensor whose rows are made of one piece from each of several tensors. */
typedef struct {
  int32_t rows, parts;
  const int32_t *row_bytes; /* of each part */
} crest_parts;

/* Images, and the block_h * block_w grids that each of them is made of once before_h rows and before_w columns are added. */
typedef struct {
  int32_t images, image_h, image_w;
  int32_t grid_h, grid_w;
  int32_t block_h, block_w, before_h, before_w;
  int32_t pixel_bytes;
  int32_t fill; /* byte value, the same for every byte of an element */
} crest_space_batch_params;

/* For cores with the DSP extension. Weights: pairs of output channels; of each pair, by four taps k, the bytes
 * c0[k] c1[k] c0[k+2] c1[k+2] c0[k+1] c1[k+1] c0[k+3] c1[k+3]; taps are filled up to a multiple of 4 and channels to one of 2
 * with zeros. scratch: 6 bytes for each tap so filled up where there are 3 positions, and a filled up patch and 4 bytes where
 * patches must be gathered; aligned to 4. Up to 3 bytes behind the input are read, and multiplied with zero. Built with
 * CREST_DUAL_ISSUE, 4 bytes behind the weights and 8 behind the 6 for each tap are read where there are 3 positions. */
void crest_conv2d_pairs_s8(const crest_weighted_s8_params *p, const int8_t *in, int8_t *out, int8_t *scratch);
void crest_dense_pairs_s8(const crest_weighted_s8_params *p, const int8_t *in, int8_t *out);
/* The same where dilation_w is 1 and rows have 3 positions or more. Weights: of each pair of output channels, by line of the
 * patch and two taps k, the bytes c0[k] c1[k] c0[k+1] c1[k+1], where a line is filled up to even taps. scratch: for each line
 * 2 * (k_w + 2 * stride_w) * in_c + 10 bytes rounded down to a multiple of 4; aligned to 4. Positions may be taken up once
 * more behind their neighbour. Built with CREST_DUAL_ISSUE, 4 bytes behind the weights are read. */
void crest_conv2d_rows_s8(const crest_weighted_s8_params *p, const int8_t *in, int8_t *out, int8_t *scratch);
/* For cores without it. Weights + 128, unsigned: of each four output channels, by tap, the bytes of the four; of the
 * channels beyond them one after another; taps are filled up to a multiple of 4. Biases hold -128 * sum of weights more.
 * scratch: a patch so filled up and 4 bytes, aligned to 4. */
void crest_conv2d_quads_s8(const crest_weighted_s8_params *p, const int8_t *in, int8_t *out, int8_t *scratch);
/* out_c is in_c. Weights: of each four channels, by tap, those of the four; of the channels beyond them one after another.
 * scratch: 8 * k_h * k_w + 17 * in_c bytes, aligned to 4, within 2 GiB of the input */
void crest_depthwise_s8(const crest_weighted_s8_params *p, const int8_t *in, int8_t *out, int8_t *scratch);
/* For whatever those cannot do. scratch: k_h * k_w * in_c + 4 bytes, or null where every patch lies contiguously in the input */
void crest_conv2d_wide_s8(const crest_wide_s8_params *p, const int8_t *in, int8_t *out, int8_t *scratch);
void crest_depthwise_wide_s8(const crest_wide_s8_params *p, const int8_t *in, int8_t *out);
void crest_max_pool_s8(const crest_window *w, const int8_t *in, int8_t *out, int32_t act_min, int32_t act_max);
void crest_average_pool_s8(const crest_window *w, const int8_t *in, int8_t *out, int32_t act_min, int32_t act_max);
void crest_mean_s8(const crest_mean_s8_params *p, const int8_t *in, int8_t *out);
void crest_softmax_s8(const crest_softmax_s8_params *p, const int8_t *in, int8_t *out);

void crest_conv2d_f32(const crest_conv2d_f32_params *p, const float *in, float *out);
void crest_max_pool_f32(const crest_window *w, const float *in, float *out, float act_min, float act_max);
void crest_depthwise_f32(const crest_conv2d_f32_params *p, const float *in, float *out);
void crest_average_pool_f32(const crest_window *w, const float *in, float *out, float act_min, float act_max);
void crest_mean_f32(const float *in, float *out, int32_t outer, int32_t count, int32_t inner);
void crest_softmax_f32(const float *in, float *out, int32_t outer, int32_t depth, float beta);

/* table: results for 0 .. 127, then for -128 .. -1; out may be in */
void crest_lookup_s8(const int8_t *table, const int8_t *in, int8_t *out, int32_t n);
/* Sums and products: out may be an operand that does not repeat; loops: see broadcast.h. */
void crest_sum_s8(const crest_sum_s8_params *p, const int8_t *left, const int8_t *right, int8_t *out, int32_t n);
void crest_sum_broadcast_s8(const crest_sum_s8_params *p, const int32_t *loops, const int8_t *left, const int8_t *right,
                            int8_t *out);
void crest_add_s8(const crest_add_s8_params *p, const int32_t *loops, const int8_t *left, const int8_t *right,
                  int8_t *out);
void crest_mul_s8(const crest_mul_s8_params *p, const int32_t *loops, const int8_t *left, const int8_t *right,
                  int8_t *out);
void crest_add_f32(const int32_t *loops, const float *left, const float *right, float *out, float act_min, float act_max);
void crest_sub_f32(const int32_t *loops, const float *left, const float *right, float *out, float act_min, float act_max);
void crest_mul_f32(const int32_t *loops, const float *left, const float *right, float *out, float act_min, float act_max);

void crest_relu_f32(const float *in, float *out, int32_t n, float act_max);
void crest_leaky_relu_f32(const float *in, float *out, int32_t n, float alpha);
void crest_hard_swish_f32(const float *in, float *out, int32_t n);
void crest_logistic_f32(const float *in, float *out, int32_t n);
void crest_tanh_f32(const float *in, float *out, int32_t n);
void crest_quantize_f32_s8(const float *in, int8_t *out, int32_t n, float scale, int32_t zero_point);
void crest_dequantize_s8_f32(const int8_t *in, float *out, int32_t n, float scale, int32_t zero_point);

/* int16 activations with zero points of 0, int8 weights. */

/* What a channel of a layer needs: the sum and the bias fit 32 bits, the factor is multiplier / 2^32, an even multiplier. */
typedef struct {
  int32_t bias, multiplier;
} crest_channel_s16;

/* For sums of up to 48 bits; the factor is multiplier / 2^shift, a multiplier of 15 bits and a shift of at least 8. */
typedef struct {
  int64_t bias;
  int32_t multiplier, shift;
} crest_wide_channel_s16;

/* Weights: pairs of output channels; of each pair, by tap, the two in turns, aligned to 4; channels are filled up to a multiple
 * of 2 and taps to one of 4 with zeros. Depthwise: [k_h][k_w][out_c]. */
typedef struct {
  crest_window window;
  int32_t act_min, act_max;
  const void *weights; /* bytes */
  const void *channels; /* crest_channel_s16, crest_wide_channel_s16 or crest_channel */
} crest_weighted_s16_params;

typedef struct {
  int32_t left_multiplier, left_shift, right_multiplier, right_shift, out_multiplier, out_shift; /* shifts to the right */
  int32_t right_sign;                                                                            /* -1 subtracts */
  int32_t act_min, act_max;
} crest_add_s16_params;

typedef struct {
  int32_t multiplier, shift; /* to the right */
  int32_t act_min, act_max;
} crest_mul_s16_params;

typedef struct {
  int32_t outer, depth;
  int32_t multiplier, shift;   /* from a difference of inputs to 65535ths of 10 */
  const int16_t *exponentials; /* exp(x) for x from -10 to 0, in Q0.15, 513 samples */
  const int16_t *reciprocals;  /* 1 / (1 + x) for x from 0 to 1 */
} crest_softmax_s16_params;

/* Convolution and dense layer. scratch: twice 2 bytes for each tap of a patch so filled up and 4 bytes, aligned to 4, or null
 * where every patch lies contiguously in the input. Up to 6 bytes behind the input are read, and multiplied with zero. The
 * plain kernels take crest_channel_s16, the wide ones crest_wide_channel_s16; the narrow ones sum modulo 2^32, round twice as
 * int8 layers do and take crest_channel. */
void crest_conv2d_s16(const crest_weighted_s16_params *p, const int16_t *in, int16_t *out, void *scratch);
void crest_conv2d_wide_s16(const crest_weighted_s16_params *p, const int16_t *in, int16_t *out, void *scratch);
void crest_conv2d_narrow_s16(const crest_weighted_s16_params *p, const int16_t *in, int16_t *out, void *scratch);
void crest_depthwise_s16(const crest_weighted_s16_params *p, const int16_t *in, int16_t *out);
void crest_depthwise_wide_s16(const crest_weighted_s16_params *p, const int16_t *in, int16_t *out);
void crest_add_s16(const crest_add_s16_params *p, const int32_t *loops, const int16_t *left, const int16_t *right,
                   int16_t *out);
void crest_mul_s16(const crest_mul_s16_params *p, const int32_t *loops, const int16_t *left, const int16_t *right,
                   int16_t *out);
void crest_relu_s16(const int16_t *in, int16_t *out, int32_t n, int32_t multiplier, int32_t shift, int32_t act_max);
void crest_max_pool_s16(const crest_window *w, const int16_t *in, int16_t *out, int32_t act_min, int32_t act_max);
void crest_average_pool_s16(const crest_window *w, const int16_t *in, int16_t *out, int32_t act_min, int32_t act_max);
void crest_mean_s16(const int16_t *in, int16_t *out, int32_t outer, int32_t count, int32_t inner, int32_t multiplier,
                    int32_t shift);
void crest_softmax_s16(const crest_softmax_s16_params *p, const int16_t *in, int16_t *out);

void crest_gather(const crest_gather_params *p, const void *in, void *out);
void crest_pad(const crest_pad_params *p, const void *in, void *out);
void crest_concatenate(const crest_parts *p, const void *const *in, void *out);
void crest_split(const crest_parts *p, const void *in, void *const *out);
void crest_space_to_batch(const crest_space_batch_params *p, const void *in, void *out);
void crest_batch_to_space(const crest_space_batch_params *p, const void *in, void *out);

#endif
