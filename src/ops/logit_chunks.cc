// Chunks of logits:
//   l = x Wᵀ;   z = scale l, dl = scale dz;   or with a soft cap c (Gemma 2, 2024):
//   z = c tanh(scale l / c), dl = scale (1 - (z/c)²) dz
#include "ops/logit_chunks.h"

#include <algorithm>

namespace sllm::ops {
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

void in_logit_chunks(Context& ctx, const Tensor& x, const Weight& head,
                     std::span<const int32_t> rows, LogitShape shape, const ChunkLoss& loss) {
  const int64_t D = x.cols(), V = head.N();
  const bool wants_dx = ctx.recording({x.id()}), wants_dw = ctx.recording({head.tensor().id()});
  const bool wanted = wants_dx || wants_dw;
  const auto chunk = static_cast<size_t>(chunk_rows(V));
  Context plain{ctx.backend, ctx.numerics, nullptr};
  for (size_t begin = 0; begin < rows.size(); begin += chunk) {
    const auto part = rows.subspan(begin, std::min(chunk, rows.size() - begin));
    const int64_t n = std::ssize(part);
    Operand hidden(gather_rows(plain, x, part));
    Tensor logits = Tensor::empty(DType::kF32, {n, V}), capped;
    ctx.backend.linear(logits.data<float>(), hidden, head, ctx.numerics);
    shape_in_place(ctx.backend, logits, shape, wanted ? &capped : nullptr);
    loss(part, logits, wanted);
    if (!wanted) continue;
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
}

}  // namespace sllm::ops
