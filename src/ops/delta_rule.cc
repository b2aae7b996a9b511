// Gated delta rule (Yang et al. 2024, "Gated Delta Networks"): every head keeps S [Dk, Dv]; token
// by token
//   S' = e^g S;  u = β (v - S'ᵀ k);  S <- S' + k uᵀ;  o = scale Sᵀ q
// Value head h reads query and key of head h / (H / Hk). Backward, with G = ∂/∂S from the last
// token to the first, the states S' being computed again:
//   G += scale q doᵀ;  dq = scale S do;  du = Gᵀ k;  dv = β du;  dβ = du·(v - S'ᵀ k);
//   G' = G - k dvᵀ;  dk = G u - S' dv;  dg = Σ G' S';  G <- e^g G'
// Its decay is g = -e^A softplus(a) (Gu & Dao 2023), one A a head.
#include <algorithm>
#include <cmath>

#include "ops/ops.h"

namespace sllm {
namespace {

// One token and value head.
struct Token {
  const float *q, *k, *v;
  float decay, beta;
};

struct Rows {
  const float *q, *k, *v, *g, *beta;
  Token at(int64_t row, int64_t h, const DeltaShape& s) const {
    const int64_t key = (row * s.Hk + h / (s.H / s.Hk)) * s.Dk, i = row * s.H + h;
    return {q + key, k + key, v + i * s.Dv, std::exp(g[i]), beta[i]};
  }
};

// state: S' on return of the first, S of the second. error = v - S'ᵀ k.
void recall(float* state, float* error, const Token& t, const DeltaShape& s) {
  std::copy_n(t.v, s.Dv, error);
  for (int64_t i = 0; i < s.Dk; ++i)
    for (int64_t j = 0; j < s.Dv; ++j) {
      state[i * s.Dv + j] *= t.decay;
      error[j] -= t.k[i] * state[i * s.Dv + j];
    }
}
void write(float* state, const float* error, const Token& t, const DeltaShape& s) {
  for (int64_t i = 0; i < s.Dk; ++i)
    for (int64_t j = 0; j < s.Dv; ++j) state[i * s.Dv + j] += t.k[i] * t.beta * error[j];
}

}  // namespace

void Backend::delta_rule(float* out, const float* q, const float* k, const float* v, const float* g,
                         const float* beta, std::span<const StateSegment> segments,
                         DeltaShape shape) {
  const int64_t size = shape.Dk * shape.Dv;
  const Rows rows{q, k, v, g, beta};
  std::vector<float> error(static_cast<size_t>(shape.Dv)), zeros;
  for (const StateSegment& segment : segments)
    for (int64_t h = 0; h < shape.H; ++h) {
      zeros.assign(static_cast<size_t>(size), 0.0f);
      float* state = segment.state ? segment.state + h * size : zeros.data();
      for (int64_t r = segment.first_row; r < segment.first_row + segment.rows; ++r) {
        const Token t = rows.at(r, h, shape);
        recall(state, error.data(), t, shape);
        write(state, error.data(), t, shape);
        float* o = out + (r * shape.H + h) * shape.Dv;
        for (int64_t j = 0; j < shape.Dv; ++j) {
          o[j] = 0;
          for (int64_t i = 0; i < shape.Dk; ++i) o[j] += t.q[i] * state[i * shape.Dv + j];
          o[j] *= shape.scale;
        }
      }
    }
}

void Backend::delta_rule_backward(float* dq, float* dk, float* dv, float* dg, float* dbeta,
                                  const float* dout, const float* q, const float* k, const float* v,
                                  const float* g, const float* beta,
                                  std::span<const StateSegment> segments, DeltaShape shape) {
  const int64_t Dk = shape.Dk, Dv = shape.Dv, size = Dk * Dv;
  const Rows inputs{q, k, v, g, beta};
  for (const StateSegment& segment : segments) {
    const int64_t keys = shape.Hk * Dk;
    std::fill_n(dq + segment.first_row * keys, segment.rows * keys, 0.0f);
    std::fill_n(dk + segment.first_row * keys, segment.rows * keys, 0.0f);
    for (int64_t h = 0; h < shape.H; ++h) {
      std::vector<float> state(static_cast<size_t>(size)), G(state.size()),
          error(static_cast<size_t>(Dv)), errors, decayed;  // error and S' of every token
      for (int64_t r = 0; r < segment.rows; ++r) {
        const Token t = inputs.at(segment.first_row + r, h, shape);
        recall(state.data(), error.data(), t, shape);
        decayed.insert(decayed.end(), state.begin(), state.end());
        errors.insert(errors.end(), error.begin(), error.end());
        write(state.data(), error.data(), t, shape);
      }
      for (int64_t r = segment.rows; r-- > 0;) {
        const int64_t row = segment.first_row + r, at = row * shape.H + h;
        const Token t = inputs.at(row, h, shape);
        const float *S = decayed.data() + r * size, *e = errors.data() + r * Dv;
        const float* d = dout + at * Dv;
        float *dq_row = dq + (t.q - q), *dk_row = dk + (t.k - k), *dv_row = dv + at * Dv;
        std::fill_n(dv_row, Dv, 0.0f);
        for (int64_t i = 0; i < Dk; ++i)
          for (int64_t j = 0; j < Dv; ++j) {
            float& G_ij = G[i * Dv + j];
            G_ij += shape.scale * t.q[i] * d[j];
            dq_row[i] += shape.scale * (S[i * Dv + j] + t.k[i] * t.beta * e[j]) * d[j];
            dk_row[i] += G_ij * t.beta * e[j];
            dv_row[j] += G_ij * t.k[i];  // du until below
          }
        dbeta[at] = 0;
        double decay_sum = 0;  // Dk Dv terms: a chain of f32 sums would lose a digit
        for (int64_t j = 0; j < Dv; ++j) {
          dbeta[at] += dv_row[j] * e[j];
          dv_row[j] *= t.beta;
        }
        for (int64_t i = 0; i < Dk; ++i)
          for (int64_t j = 0; j < Dv; ++j) {
            float& G_ij = G[i * Dv + j];
            G_ij -= t.k[i] * dv_row[j];
            dk_row[i] -= S[i * Dv + j] * dv_row[j];
            decay_sum += double{G_ij} * S[i * Dv + j];
            G_ij *= t.decay;
          }
        dg[at] = static_cast<float>(decay_sum);
      }
    }
  }
}

namespace ops {

Tensor delta_rule(Context& ctx, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& g,
                  const Tensor& beta, std::span<const StateSegment> segments, DeltaShape shape) {
  const int64_t N = q.rows();
  SLLM_CHECK(shape.H % shape.Hk == 0 && q.cols() == shape.Hk * shape.Dk && q.size() == k.size() &&
                 v.rows() == N && v.cols() == shape.H * shape.Dv && g.size() == N * shape.H &&
                 beta.size() == g.size(),
             "delta_rule: {}, {}, {}, {}, {}", q.to_string(), k.to_string(), v.to_string(),
             g.to_string(), beta.to_string());
  Tensor out = Tensor::empty(DType::kF32, v.shape());
  ctx.backend.delta_rule(out.data<float>(), q.data<float>(), k.data<float>(), v.data<float>(),
                         g.data<float>(), beta.data<float>(), segments, shape);
  if (!ctx.recording({q.id(), k.id(), v.id(), g.id(), beta.id()})) return out;
  for (const StateSegment& s : segments)
    SLLM_CHECK(!s.state, "delta_rule: no gradients through a state");
  ctx.tape->record(out, {q.id(), k.id(), v.id(), g.id(), beta.id()},
                   [&backend = ctx.backend, q_var = Var(q), k_var = Var(k), v_var = Var(v),
                    q = Saved(ctx, q), k = Saved(ctx, k), v = Saved(ctx, v), g, beta,
                    segments = std::vector(segments.begin(), segments.end()),
                    shape](Tape& tape, const Tensor& dout) {
                     Tensor dq = Tensor::empty(DType::kF32, q_var.shape),
                            dk = Tensor::empty(DType::kF32, k_var.shape),
                            dv = Tensor::empty(DType::kF32, v_var.shape),
                            dg = Tensor::empty(DType::kF32, g.shape()),
                            dbeta = Tensor::empty(DType::kF32, beta.shape());
                     backend.delta_rule_backward(
                         dq.data<float>(), dk.data<float>(), dv.data<float>(), dg.data<float>(),
                         dbeta.data<float>(), dout.data<float>(), q.f32(backend).data<float>(),
                         k.f32(backend).data<float>(), v.f32(backend).data<float>(),
                         g.data<float>(), beta.data<float>(), segments, shape);
                     tape.add_grad(backend, q_var, std::move(dq));
                     tape.add_grad(backend, k_var, std::move(dk));
                     tape.add_grad(backend, v_var, std::move(dv));
                     tape.add_grad(backend, g, std::move(dg));
                     tape.add_grad(backend, beta, std::move(dbeta));
                   });
  return out;
}

// Small ([N, H]), so on this thread. softplus(a) = max(a, 0) + log(1 + e^-|a|).
Tensor decay_gate(Context& ctx, const Tensor& a, const Tensor& A_log) {
  const int64_t N = a.rows(), H = a.cols();
  SLLM_CHECK(A_log.size() == H, "decay_gate: {} for {}", A_log.to_string(), a.to_string());
  Tensor g = Tensor::empty(DType::kF32, a.shape());
  const auto at = [H](const Tensor& t, int64_t i) { return t.data<float>()[i % H]; };
  for (int64_t i = 0; i < N * H; ++i) {
    const float x = a.data<float>()[i];
    const float softplus = std::max(x, 0.0f) + std::log1p(std::exp(-std::abs(x)));
    g.data<float>()[i] = -std::exp(at(A_log, i)) * softplus;
  }
  if (ctx.recording({a.id(), A_log.id()}))
    ctx.tape->record(g, {a.id(), A_log.id()},
                     [&backend = ctx.backend, a, A_log, g, at](Tape& tape, const Tensor& dg) {
                       const int64_t H = a.cols();
                       Tensor da = Tensor::empty(DType::kF32, a.shape());
                       float* dA =
                           tape.needs(A_log.id()) ? tape.grad(A_log).data<float>() : nullptr;
                       for (int64_t i = 0; i < a.size(); ++i) {
                         const float d = dg.data<float>()[i], x = a.data<float>()[i];
                         da.data<float>()[i] = -d * std::exp(at(A_log, i)) / (1.0f + std::exp(-x));
                         if (dA) dA[i % H] += d * g.data<float>()[i];
                       }
                       tape.add_grad(backend, a, std::move(da));
                     });
  return g;
}

}  // namespace ops
}  // namespace sllm
