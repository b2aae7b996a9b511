// Rotary position tables (Su et al. 2021), in float32 throughout as Hugging Face computes them:
// inv_freq and position * inv_freq are rounded to f32 before the cosine is taken.
#pragma once

#include <vector>

#include "io/model_config.h"
#include "tensor/tensor.h"

namespace sllm {

// cos and sin of the rows' positions, [N, R/2] for R rotated columns.
struct Angles {
  Tensor cos, sin;
};

class RopeTable {
 public:
  RopeTable() = default;
  RopeTable(const Rope& rope, int64_t head_width);
  Angles rows(const std::vector<int64_t>& positions) const;
  const std::vector<float>& inverse_frequencies() const { return inv_freq_; }

 private:
  std::vector<float> inv_freq_;       // [R/2]
  std::vector<float> long_inv_freq_;  // of positions beyond original_context_ (longrope), or empty
  int64_t original_context_ = 0;
  float attention_factor_ = 1;  // of cos and sin
};

}  // namespace sllm
