// Q8_0: 32 numbers as int8 with one scale. x = d * q.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "base/float16.h"
#include "quant/search.h"

namespace sllm {

struct BlockQ8_0 {
  static constexpr int kElements = 32;
  f16 d;
  int8_t qs[32];

  void decode(float* x) const {
    const float scale = to_float(d);
    for (int i = 0; i < 32; ++i) x[i] = scale * static_cast<float>(qs[i]);
  }
  void encode(const float* x) {
    float largest = 0;
    for (int i = 0; i < 32; ++i) largest = std::max(largest, std::fabs(x[i]));
    const float scale = largest / 127, inverse = inverse_or_zero(scale);
    d = to_f16(scale);
    for (int i = 0; i < 32; ++i) qs[i] = static_cast<int8_t>(std::round(x[i] * inverse));
  }
};
static_assert(sizeof(BlockQ8_0) == 34 && alignof(BlockQ8_0) == 2);

}  // namespace sllm
