// Matrix products: which numerics takes which path.
#include <algorithm>

#include "cpu/cpu_backend_impl.h"

namespace sllm {

void CpuBackend::linear(float* y, Operand& x, const Weight& w, Numerics numerics, bool accumulate) {
  SLLM_CHECK(x.K() == w.K(), "linear: rows of {} do not fit weight {}", x.K(),
             w.tensor().to_string());
  numerics = for_weight(numerics, w.tensor().dtype());
  if (numerics == Numerics::kExact) return linear_f32(y, x.f32(), w.tensor(), accumulate);
  if (numerics == Numerics::kFast && kernels_.int8_gemm[static_cast<int>(w.tensor().dtype())])
    return linear_int8(y, x, w.tensor(), accumulate);
  linear_bf16(y, x, w.tensor(), accumulate);
}

void CpuBackend::linear_dx(float* dx, Operand& dy, const Weight& w, Numerics numerics,
                           bool accumulate) {
  SLLM_CHECK(dy.K() == w.N(), "linear_dx: rows of {} do not fit weight {}", dy.K(),
             w.tensor().to_string());
  if (numerics == Numerics::kExact) return linear_dx_f32(dx, dy.f32(), w.tensor(), accumulate);
  linear_dx_bf16(dx, dy, w.tensor(), accumulate);
}

void CpuBackend::linear_dw(float* dw, Operand& dy, Operand& x, Numerics numerics) {
  SLLM_CHECK(dy.M() == x.M(), "linear_dw: {} rows of dy, {} of x", dy.M(), x.M());
  if (numerics == Numerics::kExact) return linear_dw_f32(dw, dy.f32(), x.f32());
  linear_dw_bf16(dw, dy, x);
}

}  // namespace sllm
