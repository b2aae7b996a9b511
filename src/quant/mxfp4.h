// MXFP4 of the OCP Microscaling Formats specification 1.0: 32 numbers as 4-bit floats with a shared
// power of two. x = 2^(e - 128) * kMxfp4Values[q]; nibbles as in Q4_0.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "quant/level_values.h"

namespace sllm {

struct BlockMXFP4 {
  static constexpr int kElements = 32;
  uint8_t e;
  uint8_t qs[16];

  // 2^(e - 128); the first two are subnormal.
  static float scale_of(uint8_t e) {
    return std::bit_cast<float>(e < 2 ? 0x00200000u << e : static_cast<uint32_t>(e - 1) << 23);
  }
  void decode(float* x) const {
    const float scale = scale_of(e);
    for (int i = 0; i < 16; ++i) {
      x[i] = scale * kMxfp4Values[qs[i] & 15];
      x[i + 16] = scale * kMxfp4Values[qs[i] >> 4];
    }
  }
  // The largest number is given the top exponent, so that it becomes 8 to 12 units (what is above
  // 12 is cut off, as the specification has it); of two levels equally near the smaller is taken.
  void encode(const float* x) {
    float largest = 0;
    for (int i = 0; i < 32; ++i) largest = std::max(largest, std::fabs(x[i]));
    e = largest > 0 ? static_cast<uint8_t>(
                          std::max(0, static_cast<int>(std::floor(std::log2(largest))) - 2 + 127))
                    : uint8_t{0};
    const float scale = scale_of(e);
    const auto level = [&](float v) {
      int q = 0;
      for (const float middle : {0.5f, 1.5f, 2.5f, 3.5f, 5.0f, 7.0f, 10.0f})
        q += std::fabs(v) > middle * scale;
      return v < 0 && q > 0 ? q + 8 : q;
    };
    for (int i = 0; i < 16; ++i) qs[i] = static_cast<uint8_t>(level(x[i]) | level(x[i + 16]) << 4);
  }
};
static_assert(sizeof(BlockMXFP4) == 17 && alignof(BlockMXFP4) == 1);

}  // namespace sllm
