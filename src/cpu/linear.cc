// Matrix products: which numerics takes which path.
#include <algorithm>

#include "cpu/cpu_backend_impl.h"

namespace sllm {

void CpuBackend::linear(float* y, Operand& x, const Weight& w, Numerics, bool accumulate) {
  SLLM_CHECK(x.K() == w.K(), "linear: x {} does not fit weight {}", x.f32().to_string(),
             w.tensor().to_string());
  linear_f32(y, x.f32(), w.tensor(), accumulate);
}

void CpuBackend::linear_dx(float* dx, Operand& dy, const Weight& w, Numerics, bool accumulate) {
  SLLM_CHECK(dy.K() == w.N(), "linear_dx: dy {} does not fit weight {}", dy.f32().to_string(),
             w.tensor().to_string());
  linear_dx_f32(dx, dy.f32(), w.tensor(), accumulate);
}

void CpuBackend::linear_dw(float* dw, Operand& dy, Operand& x, Numerics) {
  SLLM_CHECK(dy.M() == x.M(), "linear_dw: {} rows of dy, {} of x", dy.M(), x.M());
  const int64_t N = dy.K(), K = x.K();
  constexpr int64_t kRows = 256;  // rows of x that stay in L2 while all of N passes
  pool_.parallel_for(N, 4, [&](int64_t begin, int64_t end) {
    for (int64_t m = 0; m < x.M(); m += kRows)
      kernels_.gemm_nn(dw + begin * K, K, dy.f32().data<float>() + m * N + begin, 1, N,
                       x.f32().data<float>() + m * K, K, end - begin, K, std::min(kRows, x.M() - m),
                       true);
  });
}

}  // namespace sllm
