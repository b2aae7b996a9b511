// Q4_1: 32 numbers in 4 bits with a scale and a minimum. x = d * q + m; nibbles as in Q4_0.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/float16.h"
#include "quant/search.h"

namespace sllm {

struct BlockQ4_1 {
  static constexpr int kElements = 32;
  f16 d, m;
  uint8_t qs[16];

  void decode(float* x) const {
    const float scale = to_float(d), minimum = to_float(m);
    for (int i = 0; i < 16; ++i) {
      x[i] = scale * static_cast<float>(qs[i] & 15) + minimum;
      x[i + 16] = scale * static_cast<float>(qs[i] >> 4) + minimum;
    }
  }
  void encode(const float* x) {
    const auto [low, high] = std::minmax_element(x, x + 32);
    const float minimum = *low, scale = (*high - minimum) / 15, inverse = inverse_or_zero(scale);
    d = to_f16(scale);
    m = to_f16(minimum);
    const auto level = [&](float v) {
      return std::min(15, static_cast<int>((v - minimum) * inverse + 0.5f));
    };
    for (int i = 0; i < 16; ++i) qs[i] = static_cast<uint8_t>(level(x[i]) | level(x[i + 16]) << 4);
  }
  void encode(const float* x, const float* weight) {
    uint8_t levels[32];
    const AffineFit fit = fit_affine<32>(x, weight, 15, kWeightedGrids, levels);
    d = to_f16(fit.scale);
    m = to_f16(fit.minimum);
    for (int i = 0; i < 16; ++i) qs[i] = static_cast<uint8_t>(levels[i] | levels[i + 16] << 4);
  }
};
static_assert(sizeof(BlockQ4_1) == 20 && alignof(BlockQ4_1) == 2);

}  // namespace sllm
