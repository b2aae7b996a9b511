// RMS norm (Zhang & Sennrich 2019): y = x r w,  r = 1/sqrt(mean(x²) + eps);  x, y [N, D], w [D].
// A row of G groups (heads) is G rows to the backend.
//   dw += Σ_i dy x r;   dx += r (w dy) - x r³/D Σ_j (w dy x)_j
#include <algorithm>
#include <cmath>

#include "ops/ops.h"

namespace sllm {

void Backend::rms_norm(float* y, float* r, const float* x, const float* w, int64_t N, int64_t D,
                       float eps) {
  for (int64_t i = 0; i < N; ++i, x += D, y += D) {
    float squares = 0;
    for (int64_t j = 0; j < D; ++j) squares += x[j] * x[j];
    const float inverse = 1.0f / std::sqrt(squares / static_cast<float>(D) + eps);
    for (int64_t j = 0; j < D; ++j) y[j] = x[j] * inverse * w[j];
    if (r) r[i] = inverse;
  }
}

void Backend::rms_norm_backward(float* dx, float* dw, const float* dy, const float* x,
                                const float* w, const float* r, int64_t N, int64_t D) {
  for (int64_t i = 0; i < N; ++i, x += D, dy += D, dx += D) {
    float along = 0;
    for (int64_t j = 0; j < D; ++j) along += w[j] * dy[j] * x[j];
    const float back = along * r[i] * r[i] * r[i] / static_cast<float>(D);
    for (int64_t j = 0; j < D; ++j) {
      if (dw) dw[j] += dy[j] * x[j] * r[i];
      dx[j] += r[i] * w[j] * dy[j] - x[j] * back;
    }
  }
}

namespace ops {
namespace {

Tensor filled(int64_t n, float value) {
  Tensor t = Tensor::empty(DType::kF32, {n});
  std::fill_n(t.data<float>(), n, value);
  return t;
}

}  // namespace

Tensor rms_norm(Context& ctx, const Tensor& x, const Tensor& w, float eps) {
  const int64_t D = w.size();
  SLLM_CHECK(D > 0 && x.cols() % D == 0, "rms_norm: weight {} for rows of {}", w.to_string(),
             x.cols());
  const int64_t N = x.size() / D;
  Tensor y = Tensor::empty(DType::kF32, x.shape());
  if (!ctx.recording({x.id(), w.id()})) {
    ctx.backend.rms_norm(y.data<float>(), nullptr, x.data<float>(), w.data<float>(), N, D, eps);
    return y;
  }
  Tensor r = Tensor::empty(DType::kF32, {N});
  ctx.backend.rms_norm(y.data<float>(), r.data<float>(), x.data<float>(), w.data<float>(), N, D,
                       eps);
  ctx.tape->record(y, {x.id(), w.id()},
                   [&backend = ctx.backend, input = Var(x), x = Saved(ctx, x), w, r, N, D](
                       Tape& tape, const Tensor& dy) {
                     float* dw = tape.needs(w.id()) ? tape.grad(w).data<float>() : nullptr;
                     Tensor dx = tape.needs(input.id) ? tape.grad(input)
                                                      : Tensor::zeros(DType::kF32, input.shape);
                     backend.rms_norm_backward(dx.data<float>(), dw, dy.data<float>(),
                                               x.f32(backend).data<float>(), w.data<float>(),
                                               r.data<float>(), N, D);
                   });
  return y;
}

Tensor rms_norm(Context& ctx, const Tensor& x, int64_t width, float eps) {
  return rms_norm(ctx, x, filled(width, 1.0f), eps);
}

// x / sqrt(Σx² + eps) = x / sqrt(mean(x²) + eps/D) / sqrt(D)
Tensor l2_norm(Context& ctx, const Tensor& x, int64_t width, float eps) {
  const auto D = static_cast<float>(width);
  return rms_norm(ctx, x, filled(width, 1.0f / std::sqrt(D)), eps / D);
}

}  // namespace ops
}  // namespace sllm
