// SPDX-License-Identifier: Apache-2.0
// Stand-in: a source outside of micro/, which the build has to find.
#include "tensorflow/lite/c/common.h"

size_t ElementBytes(TfLiteType type) { return type == kTfLiteInt8 ? 1 : 4; }
