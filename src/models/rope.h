// Rotary position tables (Su et al. 2021), in float32 throughout as Hugging Face computes them:
// inv_freq and position * inv_freq are rounded to f32 before the cosine is taken.
#pragma once

#include <vector>

#include "io/model_config.h"
#include "tensor/tensor.h"

namespace sllm {

class RopeTable {
 public:
  RopeTable() = default;
  explicit RopeTable(const ModelConfig& config);
  // cos and sin [N, Dh/2] of the given positions.
  void rows(const std::vector<int64_t>& positions, Tensor& cos, Tensor& sin) const;
  const std::vector<float>& inverse_frequencies() const { return inv_freq_; }

 private:
  std::vector<float> inv_freq_;  // [Dh/2]
};

}  // namespace sllm
