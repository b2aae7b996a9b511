// Next-token loss through the head, without ever holding all logits (logit_chunks.h).
//   loss_i = log Σ_v exp(z_iv) - z_i,target;   dz_iv = weight_i (softmax(z_i)_v - [v = target])
#include <algorithm>
#include <cmath>

#include "ops/logit_chunks.h"
#include "ops/ops.h"

namespace sllm {

void Backend::cross_entropy(float* loss, float* dlogits, const float* logits,
                            std::span<const int32_t> targets, const float* row_weight, int64_t V) {
  for (size_t i = 0; i < targets.size(); ++i, logits += V) {
    const float largest = *std::max_element(logits, logits + V);
    double sum = 0;
    for (int64_t v = 0; v < V; ++v) sum += std::exp(logits[v] - largest);
    const float lse = largest + static_cast<float>(std::log(sum));
    loss[i] = lse - logits[targets[i]];
    if (!dlogits) continue;
    const float weight = row_weight[i];
    for (int64_t v = 0; v < V; ++v) dlogits[v] = std::exp(logits[v] - lse) * weight;
    dlogits[targets[i]] -= weight;
    dlogits += V;
  }
}

namespace ops {

Tensor shape_logits(Context& ctx, const Tensor& products, LogitShape shape) {
  if (shape.softcap <= 0) return shape.scale == 1 ? products : scale(ctx, products, shape.scale);
  const Tensor capped = scale(ctx, products, shape.scale / shape.softcap);
  return scale(ctx, activate(ctx, capped, Activation::kTanh), shape.softcap);
}

double linear_cross_entropy(Context& ctx, const Tensor& x, const Weight& head,
                            std::span<const int32_t> targets, std::span<const float> row_weight,
                            std::vector<float>* row_losses, LogitShape shape) {
  const int64_t N = x.rows(), V = head.N();
  SLLM_CHECK(static_cast<int64_t>(targets.size()) == N && row_weight.size() == targets.size(),
             "linear_cross_entropy: {} targets and {} weights for {}", targets.size(),
             row_weight.size(), x.to_string());
  std::vector<int32_t> rows;
  for (int32_t i = 0; i < N; ++i) {
    if (row_weight[i] == 0) continue;
    SLLM_CHECK(targets[i] >= 0 && targets[i] < V, "linear_cross_entropy: target {} of {}",
               targets[i], V);
    rows.push_back(i);
  }
  if (row_losses) row_losses->assign(static_cast<size_t>(N), 0.0f);
  double total = 0;
  in_logit_chunks(
      ctx, x, head, rows, shape, [&](std::span<const int32_t> part, Tensor& logits, bool wanted) {
        std::vector<int32_t> target;
        std::vector<float> weight, loss(part.size());
        for (const int32_t i : part) target.push_back(targets[i]), weight.push_back(row_weight[i]);
        float* z = logits.data<float>();
        ctx.backend.cross_entropy(loss.data(), wanted ? z : nullptr, z, target, weight.data(), V);
        for (size_t i = 0; i < part.size(); ++i) {
          total += double{weight[i]} * loss[i];
          if (row_losses) (*row_losses)[static_cast<size_t>(part[i])] = loss[i];
        }
      });
  return total;
}

}  // namespace ops
}  // namespace sllm
