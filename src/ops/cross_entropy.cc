// Next-token loss through the head, without ever holding all logits.
//   loss_i = log Σ_v exp(z_iv) - z_i,target;   dz_iv = weight_i (softmax(z_i)_v - [v = target])
//   l = x Wᵀ;   z = scale l, dl = scale dz;   or with a soft cap c (Gemma 2, 2024):
//   z = c tanh(scale l / c), dl = scale (1 - (z/c)²) dz
#include <algorithm>
#include <cmath>
#include <cstring>

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
namespace {

// Rows of one chunk: about 48 MiB of logits. A function of V alone, so that results are too.
int64_t chunk_rows(int64_t V) {
  return std::clamp((int64_t{12} << 20) / V / 16 * 16, int64_t{32}, int64_t{512});
}

// z from l, in place; with a cap, `capped` (unless null) receives its argument scale l / c.
void shape_in_place(Backend& backend, Tensor& logits, LogitShape shape, Tensor* capped) {
  float* z = logits.data<float>();
  const int64_t n = logits.size();
  const float factor = shape.softcap > 0 ? shape.scale / shape.softcap : shape.scale;
  if (factor != 1) backend.scale(z, factor, n);
  if (shape.softcap <= 0) return;
  if (capped) *capped = logits.clone();
  backend.glu(z, z, nullptr, n, Activation::kTanh);
  backend.scale(z, shape.softcap, n);
}

void shape_backward(Backend& backend, Tensor& dlogits, LogitShape shape, const Tensor& capped) {
  float* d = dlogits.data<float>();
  const int64_t n = dlogits.size();
  if (shape.softcap > 0)
    backend.glu_backward(d, nullptr, d, capped.data<float>(), nullptr, n, Activation::kTanh);
  if (shape.scale != 1) backend.scale(d, shape.scale, n);
}

}  // namespace

Tensor shape_logits(Context& ctx, const Tensor& products, LogitShape shape) {
  if (shape.softcap <= 0) return shape.scale == 1 ? products : scale(ctx, products, shape.scale);
  const Tensor capped = scale(ctx, products, shape.scale / shape.softcap);
  return scale(ctx, activate(ctx, capped, Activation::kTanh), shape.softcap);
}

double linear_cross_entropy(Context& ctx, const Tensor& x, const Weight& head,
                            std::span<const int32_t> targets, std::span<const float> row_weight,
                            std::vector<float>* row_losses, LogitShape shape) {
  const int64_t N = x.rows(), D = x.cols(), V = head.N();
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
  const bool wants_dx = ctx.recording({x.id()}), wants_dw = ctx.recording({head.tensor().id()});
  double total = 0;
  const int64_t chunk = chunk_rows(V);
  Context plain{ctx.backend, ctx.numerics, nullptr};
  for (size_t begin = 0; begin < rows.size(); begin += static_cast<size_t>(chunk)) {
    const std::span<const int32_t> part =
        std::span(rows).subspan(begin, std::min<size_t>(chunk, rows.size() - begin));
    const int64_t n = static_cast<int64_t>(part.size());
    Operand hidden(gather_rows(plain, x, part));
    Tensor logits = Tensor::empty(DType::kF32, {n, V});
    ctx.backend.linear(logits.data<float>(), hidden, head, ctx.numerics);
    Tensor capped;
    shape_in_place(ctx.backend, logits, shape, wants_dx || wants_dw ? &capped : nullptr);
    std::vector<int32_t> target;
    std::vector<float> weight, loss(part.size());
    for (int32_t i : part) target.push_back(targets[i]), weight.push_back(row_weight[i]);
    ctx.backend.cross_entropy(loss.data(), wants_dx || wants_dw ? logits.data<float>() : nullptr,
                              logits.data<float>(), target, weight.data(), V);
    for (size_t i = 0; i < part.size(); ++i) {
      total += double{weight[i]} * loss[i];
      if (row_losses) (*row_losses)[static_cast<size_t>(part[i])] = loss[i];
    }
    if (!wants_dx && !wants_dw) continue;
    shape_backward(ctx.backend, logits, shape, capped);
    Operand dlogits(std::move(logits));
    if (wants_dw)
      ctx.backend.linear_dw(ctx.tape->grad(head.tensor()).data<float>(), dlogits, hidden,
                            ctx.numerics);
    if (!wants_dx) continue;
    Tensor dhidden = Tensor::empty(DType::kF32, {n, D});
    ctx.backend.linear_dx(dhidden.data<float>(), dlogits, head, ctx.numerics);
    float* dx = ctx.tape->grad(x).data<float>();
    for (int64_t i = 0; i < n; ++i)
      ctx.backend.add(dx + part[i] * D, dx + part[i] * D, dhidden.data<float>() + i * D, D);
  }
  return total;
}

}  // namespace ops
}  // namespace sllm
