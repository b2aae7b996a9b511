// Random tensors and distances for the tests of this folder.
#pragma once

#include <cmath>
#include <cstring>

#include "base/rng.h"
#include "tensor/tensor.h"

namespace sllm {

inline Tensor random(Shape shape, uint64_t seed) {
  Rng rng(seed);
  Tensor t = Tensor::empty(DType::kF32, std::move(shape));
  for (int64_t i = 0; i < t.size(); ++i) t.data<float>()[i] = rng.normal();
  return t;
}
inline Tensor encoded(const Tensor& x, DType type) {
  Tensor t = Tensor::empty(type, x.shape());
  info(type).encode(x.data<float>(), t.raw(), x.size());
  return t;
}
// |a - b| / |b| in the Euclidean norm.
inline double relative_error(const Tensor& a, const Tensor& b) {
  double error = 0, size = 0;
  for (int64_t i = 0; i < a.size(); ++i) {
    const double difference = double{a.data<float>()[i]} - b.data<float>()[i];
    error += difference * difference;
    size += double{b.data<float>()[i]} * b.data<float>()[i];
  }
  return std::sqrt(error / size);
}
inline bool same_bits(const void* a, const void* b, int64_t floats) {
  return std::memcmp(a, b, static_cast<size_t>(floats) * 4) == 0;
}

}  // namespace sllm
