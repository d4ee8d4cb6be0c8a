// SPDX-License-Identifier: Apache-2.0
// Stand-in: what the interpreter needs to know of the schema.
#ifndef STAND_IN_SCHEMA_H
#define STAND_IN_SCHEMA_H

#include "flatbuffers/flatbuffers.h"

namespace tflite {

enum BuiltinOperator : int32_t {
  BuiltinOperator_ADD = 0,
  BuiltinOperator_FULLY_CONNECTED = 9,
  BuiltinOperator_RESHAPE = 22,
  BuiltinOperator_TANH = 28,
};

struct Model {
  flatbuffers::Table root() const {
    const uint8_t *start = reinterpret_cast<const uint8_t *>(this);
    return {start + flatbuffers::Read<uint32_t>(start)};
  }
  flatbuffers::Vector<uint32_t> operator_codes() const { return {root().Target(1)}; }
  flatbuffers::Table subgraph() const { return flatbuffers::TableAt({root().Target(2)}, 0); }
  flatbuffers::Vector<uint32_t> buffers() const { return {root().Target(4)}; }
};

inline const Model *GetModel(const void *bytes) { return static_cast<const Model *>(bytes); }

}  // namespace tflite

#endif
