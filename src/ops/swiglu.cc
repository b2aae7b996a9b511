// SwiGLU (Shazeer 2020): y = silu(gate) up,  silu(g) = g σ(g).
//   dup = dy silu(g);   dgate = dy up σ(g) (1 + g (1 - σ(g)))
#include <cmath>

#include "ops/ops.h"

namespace sllm {

void Backend::swiglu(float* y, const float* gate, const float* up, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = gate[i] / (1.0f + std::exp(-gate[i])) * up[i];
}

void Backend::swiglu_backward(float* dgate, float* dup, const float* dy, const float* gate,
                              const float* up, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const float g = gate[i], sigmoid = 1.0f / (1.0f + std::exp(-g)), d = dy[i], u = up[i];
    dup[i] = d * g * sigmoid;
    dgate[i] = d * u * sigmoid * (1.0f + g * (1.0f - sigmoid));
  }
}

Tensor ops::swiglu(Context& ctx, const Tensor& gate, const Tensor& up) {
  SLLM_CHECK(gate.size() == up.size(), "swiglu: {} and {}", gate.to_string(), up.to_string());
  Tensor y = Tensor::empty(DType::kF32, gate.shape());
  ctx.backend.swiglu(y.data<float>(), gate.data<float>(), up.data<float>(), y.size());
  if (ctx.recording({gate.id(), up.id()}))
    ctx.tape->record(y, {gate.id(), up.id()},
                     [&backend = ctx.backend, gate_var = Var(gate), up_var = Var(up),
                      gate = Saved(ctx, gate), up = Saved(ctx, up)](Tape& tape, const Tensor& dy) {
                       Tensor dgate = Tensor::empty(DType::kF32, dy.shape()),
                              dup = Tensor::empty(DType::kF32, dy.shape());
                       backend.swiglu_backward(dgate.data<float>(), dup.data<float>(),
                                               dy.data<float>(), gate.f32(backend).data<float>(),
                                               up.f32(backend).data<float>(), dy.size());
                       tape.add_grad(backend, gate_var, std::move(dgate));
                       tape.add_grad(backend, up_var, std::move(dup));
                     });
  return y;
}

}  // namespace sllm
