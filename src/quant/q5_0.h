// Q5_0: 32 numbers in 5 bits with one scale. x = d * (q - 16); the low four bits lie as in Q4_0,
// bit i of qh (little-endian) is the fifth bit of element i.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "base/float16.h"
#include "quant/search.h"

namespace sllm {

struct BlockQ5_0 {
  static constexpr int kElements = 32;
  f16 d;
  uint8_t qh[4];
  uint8_t qs[16];

  void decode(float* x) const {
    const float scale = to_float(d);
    uint32_t fifth;
    std::memcpy(&fifth, qh, 4);
    for (int i = 0; i < 16; ++i) {
      const int low = (qs[i] & 15) | (fifth >> i & 1) << 4;
      const int high = (qs[i] >> 4) | (fifth >> (i + 16) & 1) << 4;
      x[i] = scale * static_cast<float>(low - 16);
      x[i + 16] = scale * static_cast<float>(high - 16);
    }
  }
  void encode(const float* x) {
    const float scale = largest_magnitude(x, 32) / -16, inverse = inverse_or_zero(scale);
    d = to_f16(scale);
    pack([&](int i) { return std::min(31u, static_cast<uint32_t>(x[i] * inverse + 16.5f)); });
  }
  void encode(const float* x, const float* weight) {
    int8_t levels[32];
    d = to_f16(fit_symmetric<32>(x, weight, 16, levels));
    pack([&](int i) { return static_cast<uint32_t>(levels[i]); });
  }

 private:
  template <class Level>
  void pack(Level level) {
    uint32_t fifth = 0;
    for (int i = 0; i < 16; ++i) {
      const uint32_t low = level(i), high = level(i + 16);
      qs[i] = static_cast<uint8_t>((low & 15) | (high & 15) << 4);
      fifth |= (low >> 4) << i | (high >> 4) << (i + 16);
    }
    std::memcpy(qh, &fifth, 4);
  }
};
static_assert(sizeof(BlockQ5_0) == 22 && alignof(BlockQ5_0) == 2);

}  // namespace sllm
