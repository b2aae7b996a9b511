// IQ4_XS: 256 numbers, 8 groups of 32 as in IQ4_NL, whose scales are 6-bit multiples of one d.
// x = d * (scale - 32) * kIq4Values[q]. Nibble g of scales_l (low one first) holds the low four
// bits of group g's scale, bits 2g of scales_h the high two.
#pragma once

#include <cmath>
#include <cstdint>

#include "base/float16.h"
#include "quant/iq4_search.h"

namespace sllm {

struct BlockIQ4_XS {
  static constexpr int kElements = 256;
  f16 d;
  uint16_t scales_h;
  uint8_t scales_l[4];
  uint8_t qs[128];

  void decode(float* x) const {
    for (int g = 0; g < 8; ++g) {
      const int s = (scales_l[g / 2] >> 4 * (g % 2) & 15) | (scales_h >> 2 * g & 3) << 4;
      const float scale = to_float(d) * static_cast<float>(s - 32);
      for (int i = 0; i < 16; ++i) {
        x[32 * g + i] = scale * kIq4Values[qs[16 * g + i] & 15];
        x[32 * g + i + 16] = scale * kIq4Values[qs[16 * g + i] >> 4];
      }
    }
  }
  void encode(const float* x) {
    float weight[256];
    squares<256>(x, weight);
    encode(x, weight);
  }
  void encode(const float* x, const float* weight) {
    float fits[8];
    for (int g = 0; g < 8; ++g) fits[g] = fit_iq4(x + 32 * g, weight + 32 * g);
    // The largest scale becomes -32, which has no positive twin. Levels are chosen for the d that
    // was meant, not for its half precision.
    const float unit = -largest_magnitude(fits, 8) / 32, grid = inverse_or_zero(unit);
    *this = {};
    d = to_f16(unit);
    for (int g = 0; g < 8; ++g) {
      const int s = clamp_level(grid * fits[g], -32, 31);
      float values[32];
      nearest_iq4(x + 32 * g, inverse_or_zero(unit * static_cast<float>(s)), values);
      pack_iq4(values, qs + 16 * g);
      scales_l[g / 2] |= static_cast<uint8_t>(((s + 32) & 15) << 4 * (g % 2));
      scales_h = static_cast<uint16_t>(scales_h | (s + 32) >> 4 << 2 * g);
    }
  }
};
static_assert(sizeof(BlockIQ4_XS) == 136 && alignof(BlockIQ4_XS) == 2);

}  // namespace sllm
