// The logits of some rows, a chunk at a time, so that [N, V] never exists; for losses through the
// head (cross_entropy.cc, distillation.cc).
#pragma once

#include <functional>
#include <span>

#include "ops/ops.h"

namespace sllm::ops {

// Turns the logits [n, V] of a chunk's rows into the derivative of the loss by them, in place,
// unless no gradient is `wanted`.
using ChunkLoss = std::function<void(std::span<const int32_t> rows, Tensor& logits, bool wanted)>;

// In order; the derivatives flow back into x (and the head when watched) at once.
void in_logit_chunks(Context& ctx, const Tensor& x, const Weight& head,
                     std::span<const int32_t> rows, LogitShape shape, const ChunkLoss& loss);

}  // namespace sllm::ops
