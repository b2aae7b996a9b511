// What Q4_K and Q5_K share: a super-block of 256 numbers is 8 groups of 32, each with a 6-bit scale
// and a 6-bit minimum packed into 12 bytes. x = d * scale * q - dmin * minimum.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "base/float16.h"
#include "quant/search.h"

namespace sllm {

struct KScale {
  int scale, minimum;
};

// Groups 0-3: the low six bits of bytes g (scale) and g+4 (minimum). Groups 4-7: the low and high
// nibble of byte g+4, with the top two bits borrowed from bytes g-4 and g.
inline KScale unpack_k_scale(const uint8_t* packed, int group) {
  if (group < 4) return {packed[group] & 63, packed[group + 4] & 63};
  return {(packed[group + 4] & 15) | packed[group - 4] >> 6 << 4,
          packed[group + 4] >> 4 | packed[group] >> 6 << 4};
}
inline void pack_k_scale(uint8_t* packed, int group, KScale s) {  // groups in ascending order
  if (group < 4) {
    packed[group] = static_cast<uint8_t>(s.scale);
    packed[group + 4] = static_cast<uint8_t>(s.minimum);
    return;
  }
  packed[group + 4] = static_cast<uint8_t>((s.scale & 15) | (s.minimum & 15) << 4);
  packed[group - 4] |= static_cast<uint8_t>(s.scale >> 4 << 6);
  packed[group] |= static_cast<uint8_t>(s.minimum >> 4 << 6);
}

// The numbers rounded again to the grid of the groups' six-bit scales and minima, which are packed.
// `levels` holds 256 values in [0, top].
inline void round_k_groups(const float* x, int top, const KScale* scales, f16 d, f16 dmin,
                           uint8_t* packed, uint8_t* levels) {
  for (int g = 0; g < 8; ++g) {
    pack_k_scale(packed, g, scales[g]);
    const float scale = to_float(d) * static_cast<float>(scales[g].scale),
                minimum = to_float(dmin) * static_cast<float>(scales[g].minimum);
    if (scale == 0) continue;
    for (int i = 32 * g; i < 32 * g + 32; ++i)
      levels[i] = static_cast<uint8_t>(clamp_level((x[i] + minimum) / scale, 0, top));
  }
}

// Fits the eight groups, rounds their scales and minima to six bits, and rounds the numbers again
// to the grid that results. `levels` receives 256 values in [0, top].
inline void encode_k_groups(const float* x, int top, Grids grids, f16& d, f16& dmin,
                            uint8_t* packed, uint8_t* levels) {
  AffineFit fits[8];
  float largest_scale = 0, largest_minimum = 0;
  for (int g = 0; g < 8; ++g) {
    const float* v = x + 32 * g;
    float sum = 0, weight[32];
    for (int i = 0; i < 32; ++i) sum += v[i] * v[i];
    const float typical = std::sqrt(sum / 32);
    for (int i = 0; i < 32; ++i) weight[i] = typical + std::fabs(v[i]);
    fits[g] = fit_affine<32>(v, weight, top, grids, levels + 32 * g);
    largest_scale = std::max(largest_scale, fits[g].scale);
    largest_minimum = std::max(largest_minimum, -fits[g].minimum);
  }
  d = to_f16(largest_scale / 63);
  dmin = to_f16(largest_minimum / 63);
  const float scale_grid = levels_over(63, largest_scale),
              minimum_grid = levels_over(63, largest_minimum);
  KScale scales[8];
  for (int g = 0; g < 8; ++g)
    scales[g] = {clamp_level(scale_grid * fits[g].scale, 0, 63),
                 clamp_level(minimum_grid * -fits[g].minimum, 0, 63)};
  round_k_groups(x, top, scales, d, dmin, packed, levels);
}

// The same where the weights of the errors are known: they also say which groups' scales and minima
// matter.
inline void encode_k_groups(const float* x, const float* weight, int top, f16& d, f16& dmin,
                            uint8_t* packed, uint8_t* levels) {
  const GroupFits<8> fits(x, weight, top, levels);
  uint8_t scale_levels[8], minimum_levels[8];
  d = to_f16(fit_positive<8>(fits.scales, fits.weights, 63, scale_levels));
  dmin = to_f16(fit_positive<8>(fits.minima, fits.weights, 63, minimum_levels));
  KScale scales[8];
  for (int g = 0; g < 8; ++g) scales[g] = {scale_levels[g], minimum_levels[g]};
  round_k_groups(x, top, scales, d, dmin, packed, levels);
}

}  // namespace sllm
