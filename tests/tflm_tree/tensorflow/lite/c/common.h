// SPDX-License-Identifier: Apache-2.0
// Stand-in: the C types that kernels see.
#ifndef STAND_IN_COMMON_H
#define STAND_IN_COMMON_H

#include <cstddef>
#include <cstdint>

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };
enum TfLiteType { kTfLiteFloat32 = 1, kTfLiteInt32 = 2, kTfLiteInt8 = 9 };

struct TfLiteQuantizationParams {
  float scale;
  int32_t zero_point;
};

union TfLitePtrUnion {
  int32_t *i32;
  int8_t *int8;
  void *data;
};

struct TfLiteTensor {
  TfLiteQuantizationParams params;
  TfLitePtrUnion data;
  size_t bytes;
  TfLiteType type;
  uint32_t scales;
};

struct TfLiteNode {
  const int32_t *inputs, *outputs;
  void *user_data;
  int32_t activation;
};

struct TfLiteContext {
  TfLiteTensor *tensors;
  void *impl_;
  void *(*AllocatePersistentBuffer)(TfLiteContext *context, size_t bytes);
};

struct TFLMRegistration {
  void *(*init)(TfLiteContext *context, const char *buffer, size_t length);
  void (*free)(TfLiteContext *context, void *buffer);
  TfLiteStatus (*prepare)(TfLiteContext *context, TfLiteNode *node);
  TfLiteStatus (*invoke)(TfLiteContext *context, TfLiteNode *node);
  void (*reset)(TfLiteContext *context, void *buffer);
  int32_t builtin_code;
  const char *custom_name;
};

#endif
