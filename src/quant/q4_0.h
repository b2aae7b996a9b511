// Q4_0: 32 numbers in 4 bits with one scale. x = d * (q - 8); element i is the low nibble of byte
// i, element i + 16 the high nibble.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "base/float16.h"
#include "quant/search.h"

namespace sllm {

struct BlockQ4_0 {
  static constexpr int kElements = 32;
  f16 d;
  uint8_t qs[16];

  void decode(float* x) const {
    const float scale = to_float(d);
    for (int i = 0; i < 16; ++i) {
      x[i] = scale * static_cast<float>((qs[i] & 15) - 8);
      x[i + 16] = scale * static_cast<float>((qs[i] >> 4) - 8);
    }
  }
  // The number farthest from zero is given the level -8, which has no positive twin.
  void encode(const float* x) {
    const float scale = largest_magnitude(x, 32) / -8, inverse = inverse_or_zero(scale);
    d = to_f16(scale);
    const auto level = [&](float v) { return std::min(15, static_cast<int>(v * inverse + 8.5f)); };
    for (int i = 0; i < 16; ++i) qs[i] = static_cast<uint8_t>(level(x[i]) | level(x[i + 16]) << 4);
  }
  void encode(const float* x, const float* weight) {
    int8_t levels[32];
    d = to_f16(fit_symmetric<32>(x, weight, 8, levels));
    for (int i = 0; i < 16; ++i) qs[i] = static_cast<uint8_t>(levels[i] | levels[i + 16] << 4);
  }
};
static_assert(sizeof(BlockQ4_0) == 18 && alignof(BlockQ4_0) == 2);

}  // namespace sllm
