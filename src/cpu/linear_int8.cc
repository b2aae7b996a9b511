// Products of block formats with int8 activations.
#include <algorithm>

#include "cpu/cpu_backend_impl.h"
#include "cpu/scratch.h"

namespace sllm {

const Tensor& CpuBackend::int8_form(Operand& x, int64_t block) {
  Tensor& form = x.int8_form[block == 256];
  if (form.defined()) return form;
  const int64_t M = x.M(), K = x.K(), bytes = kernels_.int8_x_bytes(K, block);
  Tensor made = Tensor::empty(DType::kI8, {M, bytes});
  const Tensor rows = rows_f32(x);
  pool_.parallel_for(M, 4, [&](int64_t begin, int64_t end) {
    for (int64_t m = begin; m < end; ++m)
      kernels_.int8_pack_x(static_cast<char*>(made.raw()) + m * bytes, rows.data<float>() + m * K,
                           K, block);
  });
  return form = std::move(made);
}

void CpuBackend::linear_int8(float* y, Operand& x, const Tensor& w, bool accumulate) {
  const int64_t M = x.M(), K = x.K(), N = w.rows();
  const Tensor& rows = int8_form(x, info(w.dtype()).block_elements);
  const auto gemm = kernels_.int8_gemm[static_cast<int>(w.dtype())];
  pool_.parallel_for(N, 32, [&](int64_t begin, int64_t end) {
    void* scratch = thread_scratch<char>(kernels_.int8_scratch);
    gemm(y + begin, N, rows.raw(), w.row(begin), M, end - begin, K, accumulate, scratch);
  });
}

}  // namespace sllm
