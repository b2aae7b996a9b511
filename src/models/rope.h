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
  // text_lengths: of each row, the tokens of its whole text (Rope::stretches).
  Angles rows(const std::vector<int64_t>& positions,
              const std::vector<int64_t>& text_lengths) const;
  const std::vector<float>& inverse_frequencies() const { return inv_freq_; }

 private:
  Rope rope_;
  std::vector<float> inv_freq_;       // [R/2]
  std::vector<float> long_inv_freq_;  // of texts that are stretched (longrope), or empty
  float attention_factor_ = 1;        // of cos and sin
};

}  // namespace sllm
