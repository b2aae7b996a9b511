// Layer norm (Ba et al. 2016): y = x̂ w + b,  x̂ = (x - m) r,  m = mean(x),
//   r = 1/sqrt(mean((x - m)²) + eps);  x, y [N, D], w, b [D].
//   dw += Σ_i dy x̂;  db += Σ_i dy;  dx += r (w dy - mean(w dy) - x̂ mean(w dy x̂))
#include <cmath>

#include "ops/ops.h"

namespace sllm {

void Backend::layer_norm(float* y, float* stats, const float* x, const float* w, const float* b,
                         int64_t N, int64_t D, float eps) {
  for (int64_t i = 0; i < N; ++i, x += D, y += D) {
    double sum = 0, squares = 0;
    for (int64_t j = 0; j < D; ++j) sum += x[j];
    const auto mean = static_cast<float>(sum / static_cast<double>(D));
    for (int64_t j = 0; j < D; ++j) squares += (x[j] - mean) * (x[j] - mean);
    const float variance = static_cast<float>(squares / static_cast<double>(D));
    const float inverse = 1.0f / std::sqrt(variance + eps);
    for (int64_t j = 0; j < D; ++j) y[j] = (x[j] - mean) * inverse * w[j] + (b ? b[j] : 0.0f);
    if (stats) stats[2 * i] = mean, stats[2 * i + 1] = inverse;
  }
}

void Backend::layer_norm_backward(float* dx, float* dw, float* db, const float* dy, const float* x,
                                  const float* w, const float* stats, int64_t N, int64_t D) {
  for (int64_t i = 0; i < N; ++i, x += D, dy += D, dx += D) {
    const float mean = stats[2 * i], inverse = stats[2 * i + 1];
    float sum = 0, along = 0;
    for (int64_t j = 0; j < D; ++j) {
      sum += w[j] * dy[j];
      along += w[j] * dy[j] * (x[j] - mean) * inverse;
    }
    sum /= static_cast<float>(D), along /= static_cast<float>(D);
    for (int64_t j = 0; j < D; ++j) {
      const float unit = (x[j] - mean) * inverse;
      dx[j] += inverse * (w[j] * dy[j] - sum - unit * along);
      if (dw) dw[j] += dy[j] * unit;
      if (db) db[j] += dy[j];
    }
  }
}

Tensor ops::layer_norm(Context& ctx, const Tensor& x, const Tensor& w, const Tensor& b, float eps) {
  const int64_t N = x.rows(), D = x.cols();
  SLLM_CHECK(w.size() == D && (!b.defined() || b.size() == D),
             "layer_norm: weight {} and bias {} for rows of {}", w.to_string(), b.to_string(), D);
  const float* bias = b.defined() ? b.data<float>() : nullptr;
  const bool recording = ctx.recording({x.id(), w.id(), b.id()});
  Tensor y = Tensor::empty(DType::kF32, x.shape());
  Tensor stats = recording ? Tensor::empty(DType::kF32, {N, 2}) : Tensor();
  ctx.backend.layer_norm(y.data<float>(), recording ? stats.data<float>() : nullptr,
                         x.data<float>(), w.data<float>(), bias, N, D, eps);
  if (recording)
    ctx.tape->record(
        y, {x.id(), w.id(), b.id()},
        [&backend = ctx.backend, input = Var(x), x = Saved(ctx, x), w, b, stats, N, D](
            Tape& tape, const Tensor& dy) {
          float* dw = tape.needs(w.id()) ? tape.grad(w).data<float>() : nullptr;
          float* db = tape.needs(b.id()) ? tape.grad(b).data<float>() : nullptr;
          Tensor dx = tape.needs(input.id) ? tape.grad(input) : Tensor::zeros(DType::kF32, {N, D});
          backend.layer_norm_backward(dx.data<float>(), dw, db, dy.data<float>(),
                                      x.f32(backend).data<float>(), w.data<float>(),
                                      stats.data<float>(), N, D);
        });
  return y;
}

}  // namespace sllm
