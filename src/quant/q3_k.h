// Q3_K: 256 numbers in 3 bits, 16 groups of 16 with a 6-bit scale each. x = d * (scale - 32) *
// (q - 4). The low two bits of q lie as in Q2_K; bit m of hmask[i] is the third bit of element
// i + 32 m.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "base/float16.h"
#include "quant/search.h"

namespace sllm {

// Of group g of 16 in 12 bytes: the low nibbles of bytes 0-7 are the low four bits of groups 0-7,
// the high ones those of groups 8-15; bits 2 (g/4) of byte 8 + g%4 are the high two.
inline int unpack_q3_scale(const uint8_t* packed, int g) {
  return (packed[g % 8] >> 4 * (g / 8) & 15) | (packed[8 + g % 4] >> 2 * (g / 4) & 3) << 4;
}
inline void pack_q3_scale(uint8_t* packed, int g, int scale) {  // into bytes that were zero
  packed[g % 8] |= static_cast<uint8_t>((scale & 15) << 4 * (g / 8));
  packed[8 + g % 4] |= static_cast<uint8_t>(scale >> 4 << 2 * (g / 4));
}

struct BlockQ3_K {
  static constexpr int kElements = 256;
  uint8_t hmask[32];
  uint8_t qs[64];
  uint8_t scales[12];
  f16 d;

  void decode(float* x) const {
    for (int g = 0; g < 16; ++g) {
      const float scale = to_float(d) * static_cast<float>(unpack_q3_scale(scales, g) - 32);
      const int at = 16 * (g % 2);  // of the group's first byte in hmask and in its half of qs
      for (int i = 0; i < 16; ++i) {
        const int q =
            (qs[32 * (g / 8) + at + i] >> 2 * (g / 2 % 4) & 3) | (hmask[at + i] >> g / 2 & 1) << 2;
        x[16 * g + i] = scale * static_cast<float>(q - 4);
      }
    }
  }
  void encode(const float* x) {
    int8_t levels[256];
    float fits[16];
    for (int g = 0; g < 16; ++g) fits[g] = fit_stepwise<16>(x + 16 * g, 4, levels + 16 * g);
    const float extreme = largest_magnitude(fits, 16);
    // The largest scale becomes -32, which has no positive twin.
    const float grid = extreme == 0 ? 0 : -32 / extreme;
    int8_t scale_levels[16] = {};
    if (extreme != 0)
      for (int g = 0; g < 16; ++g)
        scale_levels[g] = static_cast<int8_t>(clamp_level(grid * fits[g], -32, 31) + 32);
    round_and_pack(x, extreme == 0 ? 0 : 1 / grid, scale_levels, levels);
  }
  void encode(const float* x, const float* weight) {
    int8_t levels[256], scale_levels[16];
    float fits[16], weights[16] = {};
    for (int g = 0; g < 16; ++g) {
      fits[g] = fit_symmetric<16>(x + 16 * g, weight + 16 * g, 4, levels + 16 * g);
      for (int i = 16 * g; i < 16 * g + 16; ++i) weights[g] += weight[i];
    }
    const float unit = fit_symmetric<16>(fits, weights, 32, scale_levels);
    round_and_pack(x, unit, scale_levels, levels);
  }

 private:
  // The numbers rounded again to the grid of the groups' scales, unit * (scale_levels - 32).
  void round_and_pack(const float* x, float unit, const int8_t* scale_levels,
                      const int8_t* levels) {
    *this = {};
    d = to_f16(unit);
    for (int g = 0; g < 16; ++g) {
      pack_q3_scale(scales, g, scale_levels[g]);
      const float scale = to_float(d) * static_cast<float>(scale_levels[g] - 32);
      const int at = 16 * (g % 2);
      for (int i = 0; i < 16; ++i) {
        const int q =
            scale == 0 ? levels[16 * g + i] : clamp_level(x[16 * g + i] / scale, -4, 3) + 4;
        qs[32 * (g / 8) + at + i] |= static_cast<uint8_t>((q & 3) << 2 * (g / 2 % 4));
        hmask[at + i] |= static_cast<uint8_t>(q >> 2 << g / 2);
      }
    }
  }
};
static_assert(sizeof(BlockQ3_K) == 110 && alignof(BlockQ3_K) == 2);

}  // namespace sllm
