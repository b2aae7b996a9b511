// Q6_K: 256 numbers in 6 bits, 16 groups of 16 with an int8 scale each. x = d * scale * (q - 32).
// Each half of 128 numbers has 64 bytes ql (low four bits) and 32 bytes qh (high two bits): element
// i + 32 j, j in 0..3, takes nibble j/2 of ql[i + 32 (j%2)] and bits 2j of qh[i].
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "base/float16.h"
#include "quant/search.h"

namespace sllm {

struct BlockQ6_K {
  static constexpr int kElements = 256;
  uint8_t ql[128];
  uint8_t qh[64];
  int8_t scales[16];
  f16 d;

  void decode(float* x) const {
    for (int part = 0; part < 8; ++part) {  // 32 elements: half part/4, j = part%4
      const int half = part / 4, j = part % 4;
      const uint8_t *low = ql + 64 * half + 32 * (j % 2), *high = qh + 32 * half;
      for (int i = 0; i < 32; ++i) {
        const int q = (low[i] >> 4 * (j / 2) & 15) | (high[i] >> 2 * j & 3) << 4;
        const float scale = to_float(d) * static_cast<float>(scales[2 * part + i / 16]);
        x[32 * part + i] = scale * static_cast<float>(q - 32);
      }
    }
  }
  void encode(const float* x) {
    float weight[256];
    squares<256>(x, weight);
    encode(x, weight);
  }
  void encode(const float* x, const float* weight) {
    int8_t levels[256];
    float fits[16];
    for (int g = 0; g < 16; ++g)
      fits[g] = fit_symmetric<16>(x + 16 * g, weight + 16 * g, 32, levels + 16 * g);
    const float extreme = largest_magnitude(fits, 16);
    if (std::fabs(extreme) < 1e-15f) {
      *this = {};
      return;
    }
    const float grid =
        -128 / extreme;  // the largest scale becomes -128, which has no positive twin
    d = to_f16(1 / grid);
    for (int g = 0; g < 16; ++g) {
      scales[g] = static_cast<int8_t>(clamp_level(grid * fits[g], -128, 127));
      const float scale = to_float(d) * static_cast<float>(scales[g]);
      if (scale == 0) continue;
      for (int i = 16 * g; i < 16 * g + 16; ++i)
        levels[i] = static_cast<int8_t>(clamp_level(x[i] / scale, -32, 31) + 32);
    }
    pack(levels);
  }

 private:
  void pack(const int8_t* levels) {
    std::memset(ql, 0, sizeof ql);
    std::memset(qh, 0, sizeof qh);
    for (int part = 0; part < 8; ++part) {
      const int half = part / 4, j = part % 4;
      for (int i = 0; i < 32; ++i) {
        const int q = levels[32 * part + i];
        ql[64 * half + 32 * (j % 2) + i] |= static_cast<uint8_t>((q & 15) << 4 * (j / 2));
        qh[32 * half + i] |= static_cast<uint8_t>((q >> 4) << 2 * j);
      }
    }
  }
};
static_assert(sizeof(BlockQ6_K) == 210 && alignof(BlockQ6_K) == 2);

}  // namespace sllm
