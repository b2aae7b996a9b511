// Q5_1: 32 numbers in 5 bits with a scale and a minimum. x = d * q + m; bits as in Q5_0.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "base/float16.h"
#include "quant/search.h"

namespace sllm {

struct BlockQ5_1 {
  static constexpr int kElements = 32;
  f16 d, m;
  uint8_t qh[4];
  uint8_t qs[16];

  void decode(float* x) const {
    const float scale = to_float(d), minimum = to_float(m);
    uint32_t fifth;
    std::memcpy(&fifth, qh, 4);
    for (int i = 0; i < 16; ++i) {
      const uint32_t low = (qs[i] & 15u) | (fifth >> i & 1) << 4;
      const uint32_t high = (qs[i] >> 4) | (fifth >> (i + 16) & 1) << 4;
      x[i] = scale * static_cast<float>(low) + minimum;
      x[i + 16] = scale * static_cast<float>(high) + minimum;
    }
  }
  void encode(const float* x) {
    const auto [lowest, highest] = std::minmax_element(x, x + 32);
    const float minimum = *lowest, scale = (*highest - minimum) / 31,
                inverse = inverse_or_zero(scale);
    d = to_f16(scale);
    m = to_f16(minimum);
    pack([&](int i) {
      return std::min(31u, static_cast<uint32_t>((x[i] - minimum) * inverse + 0.5f));
    });
  }
  void encode(const float* x, const float* weight) {
    uint8_t levels[32];
    const AffineFit fit = fit_affine<32>(x, weight, 31, kWeightedGrids, levels);
    d = to_f16(fit.scale);
    m = to_f16(fit.minimum);
    pack([&](int i) { return uint32_t{levels[i]}; });
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
static_assert(sizeof(BlockQ5_1) == 24 && alignof(BlockQ5_1) == 2);

}  // namespace sllm
