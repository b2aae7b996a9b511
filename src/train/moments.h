// The moments of AdamW, in 32 bits or in 8: blocks of 256 codes with one scale each (Dettmers et
// al. 2022, "8-bit Optimizers via Block-wise Quantization"). A code is a place in a table of 256
// values in [-1, 1] or, for the second moment, [0, 1], which lie denser the smaller they are.
#pragma once

#include <array>

#include "base/thread_pool.h"
#include "tensor/tensor.h"

namespace sllm {

inline constexpr int64_t kMomentBlock = 256;
// Tensors with fewer numbers keep 32 bits: norms and biases are sensitive and cost nothing.
inline constexpr int64_t kFewestIn8Bits = 4096;

// The paper's dynamic tree values in ascending order; of moments that may be negative, and of those
// that may not.
const std::array<float, 256>& moment_codes(bool is_signed);

struct Moment {
  Tensor values;          // F32 as the weight's, or I8: codes [n]
  Tensor scales;          // F32 [blocks]; undefined in 32 bits
  bool is_signed = true;  // may be negative: the first moment
  bool in_8_bits() const { return scales.defined(); }

  static Moment zeros(const Shape& shape);
  static Moment zeros_in_8_bits(int64_t n, bool is_signed);
  // Numbers [begin, end) of an 8-bit moment, `begin` a multiple of kMomentBlock, from and to f32. A
  // second moment above 0 never becomes 0: a step would be divided by next to nothing.
  void read(float* out, int64_t begin, int64_t end, ThreadPool& pool) const;
  void write(const float* in, int64_t begin, int64_t end, ThreadPool& pool);
};

}  // namespace sllm
