// Q4_K: 256 numbers in 4 bits; scales and minima as in k_scales.h. Each 32 bytes of qs hold two
// groups: low nibbles the even one, high nibbles the odd one.
#pragma once

#include <cstdint>

#include "quant/k_scales.h"

namespace sllm {

struct BlockQ4_K {
  static constexpr int kElements = 256;
  f16 d, dmin;
  uint8_t scales[12];
  uint8_t qs[128];

  void decode(float* x) const {
    for (int g = 0; g < 8; ++g) {
      const KScale s = unpack_k_scale(scales, g);
      const float scale = to_float(d) * static_cast<float>(s.scale),
                  minimum = to_float(dmin) * static_cast<float>(s.minimum);
      const uint8_t* q = qs + 32 * (g / 2);
      const int shift = 4 * (g % 2);
      for (int i = 0; i < 32; ++i)
        x[32 * g + i] = scale * static_cast<float>(q[i] >> shift & 15) - minimum;
    }
  }
  void encode(const float* x) {
    uint8_t levels[256];
    encode_k_groups(x, 15, {-1.0f, 0.1f, 20}, d, dmin, scales, levels);
    pack(levels);
  }
  void encode(const float* x, const float* weight) {
    uint8_t levels[256];
    encode_k_groups(x, weight, 15, d, dmin, scales, levels);
    pack(levels);
  }

 private:
  void pack(const uint8_t* levels) {
    for (int pair = 0; pair < 4; ++pair)
      for (int i = 0; i < 32; ++i)
        qs[32 * pair + i] =
            static_cast<uint8_t>(levels[64 * pair + i] | levels[64 * pair + 32 + i] << 4);
  }
};
static_assert(sizeof(BlockQ4_K) == 144 && alignof(BlockQ4_K) == 2);

}  // namespace sllm
