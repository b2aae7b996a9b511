// One vector for a text: its rows pooled, projected and normalised as ModelConfig::pooling says, or
// their mean at unit length where the model says nothing.
#pragma once

#include <vector>

#include "io/model_source.h"
#include "ops/ops.h"

namespace sllm {

class Pooler {
 public:
  // Errors: kBadInput, as of a source's tensors.
  static Result<Pooler> load(const ModelSource& source);
  // hidden [N, D] -> [segments, width].
  Tensor forward(Context& ctx, const Tensor& hidden,
                 std::span<const AttentionSegment> segments) const;

 private:
  Pooling pooling_;
  std::vector<Weight> dense_;
};

}  // namespace sllm
