// SPDX-License-Identifier: Apache-2.0
// Stand-in: tables and vectors of a flatbuffer, unchecked.
#ifndef STAND_IN_FLATBUFFERS_H
#define STAND_IN_FLATBUFFERS_H

#include <cstdint>
#include <cstring>

namespace flatbuffers {

template <typename T>
T Read(const uint8_t *at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

struct Table {
  const uint8_t *at;

  const uint8_t *Field(uint32_t number) const {
    const uint8_t *vtable = at - Read<int32_t>(at);
    const uint32_t slot = 4 + 2 * number;
    const uint16_t offset = slot < Read<uint16_t>(vtable) ? Read<uint16_t>(vtable + slot) : 0;
    return offset ? at + offset : nullptr;
  }
  template <typename T>
  T Scalar(uint32_t number, T absent) const {
    const uint8_t *field = Field(number);
    return field ? Read<T>(field) : absent;
  }
  const uint8_t *Target(uint32_t number) const {
    const uint8_t *field = Field(number);
    return field ? field + Read<uint32_t>(field) : nullptr;
  }
};

template <typename T>
struct Vector {
  const uint8_t *at;

  uint32_t size() const { return at ? Read<uint32_t>(at) : 0; }
  T operator[](uint32_t i) const { return Read<T>(at + 4 + sizeof(T) * i); }
  const T *data() const { return reinterpret_cast<const T *>(at + 4); }
};

inline Table TableAt(Vector<uint32_t> tables, uint32_t i) {
  const uint8_t *slot = tables.at + 4 + 4 * i;
  return Table{slot + Read<uint32_t>(slot)};
}

}  // namespace flatbuffers

#endif
