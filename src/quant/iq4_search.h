// What IQ4_NL and IQ4_XS share: 32 numbers x ~ d * value, the values those of kIq4Values.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

#include "quant/level_values.h"
#include "quant/search.h"

namespace sllm {

// Half way between neighbours, and how far apart they are.
struct Iq4Step {
  float middle, width;
};
inline constexpr std::array<Iq4Step, 15> kIq4Steps = [] {
  std::array<Iq4Step, 15> steps{};
  for (size_t i = 0; i < 15; ++i)
    steps[i] = {(kIq4Values[i] + kIq4Values[i + 1]) / 2, kIq4Values[i + 1] - kIq4Values[i]};
  return steps;
}();

// The values nearest to inverse * x, the upper one of two that are equally near. Counting the
// middles that lie below is a loop that compilers vectorise.
inline void nearest_iq4(const float* x, float inverse, float* values) {
  for (int i = 0; i < 32; ++i) values[i] = kIq4Values[0];
  for (const Iq4Step& step : kIq4Steps)
    for (int i = 0; i < 32; ++i) values[i] += inverse * x[i] >= step.middle ? step.width : 0;
}
// 16 bytes of their indices: element i in the low nibble of byte i, element i + 16 in the high one.
inline void pack_iq4(const float* values, uint8_t* qs) {
  const auto index = [](float value) {
    int i = 0;
    while (kIq4Values[i] < value) ++i;
    return i;
  };
  for (int i = 0; i < 16; ++i)
    qs[i] = static_cast<uint8_t>(index(values[i]) | index(values[i + 16]) << 4);
}

// The d that loses least: tries the grids on which the extreme number falls on -120 to -134, after
// the one on which it falls on 127.
inline float fit_iq4(const float* x, const float* weight) {
  const float extreme = largest_magnitude(x, 32);
  if (std::fabs(extreme) < 1e-15f) return 0;
  float best_scale = 0, best_gain = 0;
  const auto try_grid = [&](float inverse, bool first) {
    float values[32], sum_xq = 0, sum_qq = 0;
    nearest_iq4(x, inverse, values);
    for (int i = 0; i < 32; ++i) {
      sum_xq += weight[i] * values[i] * x[i];
      sum_qq += weight[i] * values[i] * values[i];
    }
    if (!(sum_qq > 0) || (!first && !(sum_xq * sum_xq > best_gain * sum_qq))) return;
    best_scale = sum_xq / sum_qq;
    best_gain = best_scale * sum_xq;
  };
  try_grid(1 / (-extreme / kIq4Values[0]), true);
  for (int shift = -7; shift <= 7; ++shift)
    try_grid((static_cast<float>(shift) + kIq4Values[0]) / extreme, false);
  return best_scale;
}

}  // namespace sllm
