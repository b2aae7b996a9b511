// Activations, plain and gated (Shazeer 2020): y = f(x), or y = f(gate) up. f is one of
//   identity x;  silu x σ(x);  gelu x Φ(x) (Hendrycks & Gimpel 2016), or Φ by tanh: x σ(2u) with
//   u = sqrt(2/π) (x + 0.044715 x³);  relu max(x, 0);  sigmoid σ(x);  tanh
//   dup = dy f(gate);   dgate = dy up f'(gate)
#include <cmath>
#include <utility>

#include "ops/ops.h"

namespace sllm {
namespace {

// f(x) and f'(x).
std::pair<float, float> evaluate(Activation f, float x) {
  const auto sigmoid = [](float v) { return 1.0f / (1.0f + std::exp(-v)); };
  switch (f) {
    case Activation::kIdentity:
      return {x, 1.0f};
    case Activation::kSilu: {
      const float s = sigmoid(x);
      return {x * s, s * (1.0f + x * (1.0f - s))};
    }
    case Activation::kGelu: {
      const float cdf = 0.5f * std::erfc(x * -0.70710678f);
      return {x * cdf, cdf + x * 0.39894228f * std::exp(-0.5f * x * x)};
    }
    case Activation::kGeluTanh: {
      const float s = sigmoid(1.59576912f * (x + 0.044715f * x * x * x));
      return {x * s, s + x * s * (1.0f - s) * 1.59576912f * (1.0f + 0.134145f * x * x)};
    }
    case Activation::kRelu:
      return {x > 0 ? x : 0.0f, x > 0 ? 1.0f : 0.0f};
    case Activation::kSigmoid: {
      const float s = sigmoid(x);
      return {s, s * (1.0f - s)};
    }
    case Activation::kTanh: {
      const float t = std::tanh(x);
      return {t, 1.0f - t * t};
    }
  }
  return {0, 0};
}

}  // namespace

void Backend::glu(float* y, const float* gate, const float* up, int64_t n, Activation f) {
  for (int64_t i = 0; i < n; ++i) y[i] = evaluate(f, gate[i]).first * (up ? up[i] : 1.0f);
}

void Backend::glu_backward(float* dgate, float* dup, const float* dy, const float* gate,
                           const float* up, int64_t n, Activation f) {
  for (int64_t i = 0; i < n; ++i) {
    const float d = dy[i], u = up ? up[i] : 1.0f;
    const auto [value, slope] = evaluate(f, gate[i]);
    if (dup) dup[i] = d * value;
    dgate[i] = d * u * slope;
  }
}

namespace ops {

Tensor glu(Context& ctx, const Tensor& gate, const Tensor& up, Activation f) {
  SLLM_CHECK(gate.size() == up.size(), "glu: {} and {}", gate.to_string(), up.to_string());
  Tensor y = Tensor::empty(DType::kF32, gate.shape());
  ctx.backend.glu(y.data<float>(), gate.data<float>(), up.data<float>(), y.size(), f);
  if (ctx.recording({gate.id(), up.id()}))
    ctx.tape->record(
        y, {gate.id(), up.id()},
        [&backend = ctx.backend, gate_var = Var(gate), up_var = Var(up), gate = Saved(ctx, gate),
         up = Saved(ctx, up), f](Tape& tape, const Tensor& dy) {
          Tensor dgate = Tensor::empty(DType::kF32, dy.shape()),
                 dup = Tensor::empty(DType::kF32, dy.shape());
          backend.glu_backward(dgate.data<float>(), dup.data<float>(), dy.data<float>(),
                               gate.f32(backend).data<float>(), up.f32(backend).data<float>(),
                               dy.size(), f);
          tape.add_grad(backend, gate_var, std::move(dgate));
          tape.add_grad(backend, up_var, std::move(dup));
        });
  return y;
}

Tensor activate(Context& ctx, const Tensor& x, Activation f) {
  Tensor y = Tensor::empty(DType::kF32, x.shape());
  ctx.backend.glu(y.data<float>(), x.data<float>(), nullptr, y.size(), f);
  if (ctx.recording({x.id()}))
    ctx.tape->record(y, {x.id()},
                     [&backend = ctx.backend, x_var = Var(x), x = Saved(ctx, x), f](
                         Tape& tape, const Tensor& dy) {
                       Tensor dx = Tensor::empty(DType::kF32, dy.shape());
                       backend.glu_backward(dx.data<float>(), nullptr, dy.data<float>(),
                                            x.f32(backend).data<float>(), nullptr, dy.size(), f);
                       tape.add_grad(backend, x_var, std::move(dx));
                     });
  return y;
}

}  // namespace ops
}  // namespace sllm
