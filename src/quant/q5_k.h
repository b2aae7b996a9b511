// Q5_K: 256 numbers in 5 bits; scales and minima as in k_scales.h. The low four bits lie as in
// Q4_K; bit g of qh[i] is the fifth bit of element i of group g.
#pragma once

#include <cstdint>
#include <cstring>

#include "quant/k_scales.h"

namespace sllm {

struct BlockQ5_K {
  static constexpr int kElements = 256;
  f16 d, dmin;
  uint8_t scales[12];
  uint8_t qh[32];
  uint8_t qs[128];

  void decode(float* x) const {
    for (int g = 0; g < 8; ++g) {
      const KScale s = unpack_k_scale(scales, g);
      const float scale = to_float(d) * static_cast<float>(s.scale),
                  minimum = to_float(dmin) * static_cast<float>(s.minimum);
      const uint8_t* q = qs + 32 * (g / 2);
      const int shift = 4 * (g % 2);
      for (int i = 0; i < 32; ++i) {
        const int level = (q[i] >> shift & 15) | (qh[i] >> g & 1) << 4;
        x[32 * g + i] = scale * static_cast<float>(level) - minimum;
      }
    }
  }
  void encode(const float* x) {
    uint8_t levels[256];
    encode_k_groups(x, 31, {-0.5f, 0.1f, 15}, d, dmin, scales, levels);
    pack(levels);
  }
  void encode(const float* x, const float* weight) {
    uint8_t levels[256];
    encode_k_groups(x, weight, 31, d, dmin, scales, levels);
    pack(levels);
  }

 private:
  void pack(const uint8_t* levels) {
    std::memset(qh, 0, sizeof qh);
    for (int g = 0; g < 8; ++g)
      for (int i = 0; i < 32; ++i) qh[i] |= static_cast<uint8_t>(levels[32 * g + i] >> 4 << g);
    for (int pair = 0; pair < 4; ++pair)
      for (int i = 0; i < 32; ++i)
        qs[32 * pair + i] = static_cast<uint8_t>((levels[64 * pair + i] & 15) |
                                                 (levels[64 * pair + 32 + i] & 15) << 4);
  }
};
static_assert(sizeof(BlockQ5_K) == 176 && alignof(BlockQ5_K) == 2);

}  // namespace sllm
