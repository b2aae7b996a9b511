// IQ4_NL: 32 numbers in 4 bits with one scale and levels that are not evenly spaced.
// x = d * kIq4Values[q]; nibbles as in Q4_0.
#pragma once

#include <cstdint>

#include "base/float16.h"
#include "quant/iq4_search.h"

namespace sllm {

struct BlockIQ4_NL {
  static constexpr int kElements = 32;
  f16 d;
  uint8_t qs[16];

  void decode(float* x) const {
    const float scale = to_float(d);
    for (int i = 0; i < 16; ++i) {
      x[i] = scale * kIq4Values[qs[i] & 15];
      x[i + 16] = scale * kIq4Values[qs[i] >> 4];
    }
  }
  void encode(const float* x) {
    float weight[32];
    squares<32>(x, weight);
    encode(x, weight);
  }
  void encode(const float* x, const float* weight) {
    const float scale = fit_iq4(x, weight);
    float values[32];
    nearest_iq4(x, inverse_or_zero(scale), values);
    d = to_f16(scale);
    pack_iq4(values, qs);
  }
};
static_assert(sizeof(BlockIQ4_NL) == 18 && alignof(BlockIQ4_NL) == 2);

}  // namespace sllm
