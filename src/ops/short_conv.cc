// Short causal convolution along the sequence, every channel for itself (a depthwise Conv1d with
// left padding; Fu et al. 2023 and after): with x zero, or the state, before the segment,
//   y[t,c] = b[c] + Σ_j w[c,j] x[t-K+1+j,c];   x, y [N, C], w [C, K], b [C], state [K-1, C]
//   dx[t,c] = Σ_j w[c,j] dy[t+K-1-j,c];   dw[c,j] += Σ_t dy[t,c] x[t-K+1+j,c];   db += Σ_t dy[t]
#include <algorithm>
#include <cstring>

#include "ops/ops.h"

namespace sllm {

void Backend::short_conv(float* y, const float* x, const float* w, const float* b,
                         std::span<const StateSegment> segments, int64_t C, int64_t K) {
  for (const StateSegment& s : segments)
    for (int64_t t = 0; t < s.rows; ++t)
      for (int64_t c = 0; c < C; ++c) {
        float sum = b ? b[c] : 0.0f;
        for (int64_t j = 0; j < K; ++j) {
          const int64_t at = t - K + 1 + j;
          if (at >= 0)
            sum += w[c * K + j] * x[(s.first_row + at) * C + c];
          else if (s.state)
            sum += w[c * K + j] * s.state[(at + K - 1) * C + c];
        }
        y[(s.first_row + t) * C + c] = sum;
      }
}

void Backend::short_conv_backward(float* dx, float* dw, float* db, const float* dy, const float* x,
                                  const float* w, std::span<const StateSegment> segments, int64_t C,
                                  int64_t K) {
  for (const StateSegment& s : segments)
    for (int64_t t = 0; t < s.rows; ++t)
      for (int64_t c = 0; c < C; ++c) {
        const int64_t here = (s.first_row + t) * C + c;
        float sum = 0;
        for (int64_t j = 0; j < K; ++j) {
          const int64_t later = K - 1 - j, earlier = t - later;
          if (t + later < s.rows) sum += w[c * K + j] * dy[here + later * C];
          if (dw && earlier >= 0) dw[c * K + j] += dy[here] * x[here - later * C];
        }
        if (db) db[c] += dy[here];
        dx[here] = sum;
      }
}

namespace ops {
namespace {

// The last K-1 rows of (state, x) become the state.
void advance(float* state, const float* x, int64_t rows, int64_t C, int64_t K) {
  for (int64_t i = 0; i < K - 1; ++i) {
    const int64_t from = i + rows;  // of the joined rows
    std::memcpy(state + i * C, from < K - 1 ? state + from * C : x + (from - K + 1) * C,
                sizeof(float) * static_cast<size_t>(C));
  }
}

}  // namespace

Tensor short_conv(Context& ctx, const Tensor& x, const Tensor& w, const Tensor& b,
                  std::span<const StateSegment> segments) {
  const int64_t C = x.cols(), K = C > 0 ? w.size() / C : 0;
  SLLM_CHECK(K > 0 && w.size() == K * C && (!b.defined() || b.size() == C),
             "short_conv: weight {} and bias {} for {}", w.to_string(), b.to_string(),
             x.to_string());
  Tensor y = Tensor::empty(DType::kF32, x.shape());
  ctx.backend.short_conv(y.data<float>(), x.data<float>(), w.data<float>(),
                         b.defined() ? b.data<float>() : nullptr, segments, C, K);
  for (const StateSegment& s : segments)
    if (s.state) advance(s.state, x.data<float>() + s.first_row * C, s.rows, C, K);
  if (!ctx.recording({x.id(), w.id(), b.id()})) return y;
  for (const StateSegment& s : segments)
    SLLM_CHECK(!s.state, "short_conv: no gradients through a state");
  ctx.tape->record(y, {x.id(), w.id(), b.id()},
                   [&backend = ctx.backend, x_var = Var(x), x = Saved(ctx, x), w, b,
                    segments = std::vector(segments.begin(), segments.end()), C,
                    K](Tape& tape, const Tensor& dy) {
                     float* dw = tape.needs(w.id()) ? tape.grad(w).data<float>() : nullptr;
                     float* db = tape.needs(b.id()) ? tape.grad(b).data<float>() : nullptr;
                     Tensor dx = Tensor::empty(DType::kF32, x_var.shape);
                     backend.short_conv_backward(dx.data<float>(), dw, db, dy.data<float>(),
                                                 x.f32(backend).data<float>(), w.data<float>(),
                                                 segments, C, K);
                     tape.add_grad(backend, x_var, std::move(dx));
                   });
  return y;
}

}  // namespace ops
}  // namespace sllm
