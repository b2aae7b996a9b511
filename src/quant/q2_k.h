// Q2_K: 256 numbers in 2 bits, 16 groups of 16. x = d * scale * q - dmin * minimum, where a byte of
// scales holds a group's 4-bit scale (low nibble) and minimum. Element i + 32 j of a half of 128
// numbers, j in 0..3, is bits 2j of byte i of the half's 32 bytes of qs.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "base/float16.h"
#include "quant/search.h"

namespace sllm {

struct BlockQ2_K {
  static constexpr int kElements = 256;
  uint8_t scales[16];
  uint8_t qs[64];
  f16 d, dmin;

  void decode(float* x) const {
    for (int g = 0; g < 16; ++g) {
      const float scale = to_float(d) * static_cast<float>(scales[g] & 15),
                  minimum = to_float(dmin) * static_cast<float>(scales[g] >> 4);
      const uint8_t* q = qs + 32 * (g / 8) + 16 * (g % 2);
      const int shift = 2 * (g / 2 % 4);
      for (int i = 0; i < 16; ++i)
        x[16 * g + i] = scale * static_cast<float>(q[i] >> shift & 3) - minimum;
    }
  }
  // Fits the groups by the sum of absolute errors: with four levels, squares would spend them on
  // the few largest numbers.
  void encode(const float* x) {
    uint8_t levels[256];
    AffineFit fits[16];
    float largest_scale = 0, largest_minimum = 0;
    for (int g = 0; g < 16; ++g) {
      float weight[16];
      for (int i = 0; i < 16; ++i) weight[i] = std::fabs(x[16 * g + i]);
      fits[g] = fit_affine<16, FitError::kAbsolute>(x + 16 * g, weight, 3, {-0.5f, 0.1f, 15},
                                                    levels + 16 * g);
      largest_scale = std::max(largest_scale, fits[g].scale);
      largest_minimum = std::max(largest_minimum, -fits[g].minimum);
    }
    d = to_f16(largest_scale / 15);
    dmin = to_f16(largest_minimum / 15);
    const float scale_grid = levels_over(15, largest_scale),
                minimum_grid = levels_over(15, largest_minimum);
    for (int g = 0; g < 16; ++g)
      scales[g] = static_cast<uint8_t>(clamp_level(scale_grid * fits[g].scale, 0, 15) |
                                       clamp_level(minimum_grid * -fits[g].minimum, 0, 15) << 4);
    round_and_pack(x, levels);
  }
  void encode(const float* x, const float* weight) {
    uint8_t levels[256], scale_levels[16], minimum_levels[16];
    const GroupFits<16> fits(x, weight, 3, levels);
    d = to_f16(fit_positive<16>(fits.scales, fits.weights, 15, scale_levels));
    dmin = to_f16(fit_positive<16>(fits.minima, fits.weights, 15, minimum_levels));
    for (int g = 0; g < 16; ++g)
      scales[g] = static_cast<uint8_t>(scale_levels[g] | minimum_levels[g] << 4);
    round_and_pack(x, levels);
  }

 private:
  // The numbers rounded again to the grid of the groups' scales and minima.
  void round_and_pack(const float* x, const uint8_t* levels) {
    std::memset(qs, 0, sizeof qs);
    for (int g = 0; g < 16; ++g) {
      const float scale = to_float(d) * static_cast<float>(scales[g] & 15),
                  minimum = to_float(dmin) * static_cast<float>(scales[g] >> 4);
      uint8_t* q = qs + 32 * (g / 8) + 16 * (g % 2);
      const int shift = 2 * (g / 2 % 4);
      for (int i = 0; i < 16; ++i) {
        const int level =
            scale == 0 ? levels[16 * g + i] : clamp_level((x[16 * g + i] + minimum) / scale, 0, 3);
        q[i] |= static_cast<uint8_t>(level << shift);
      }
    }
  }
};
static_assert(sizeof(BlockQ2_K) == 84 && alignof(BlockQ2_K) == 2);

}  // namespace sllm
