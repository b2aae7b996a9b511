// KernelTable: the hot loops as raw-pointer functions, one table per instruction set. A table is
// chosen once per process by CPUID, or forced with SLLM_ISA=scalar|avx2|avx512|...
// Everything here runs on the calling thread, is noexcept and allocates nothing.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/float16.h"
#include "base/result.h"
#include "quant/format.h"

namespace sllm::kernels {

struct KernelTable {
  const char* name;

  // y[M,N] (+)= x[M,K] w[N,K]ᵀ. Each output is summed in one order, whatever M and N are.
  void (*gemm_nt)(float* y, int64_t ldy, const float* x, int64_t ldx, const float* w, int64_t ldw,
                  int64_t M, int64_t N, int64_t K, bool accumulate) noexcept;
  // c[M,N] (+)= a b, a[m][k] at a[m*a_row + k*a_k], b[K,N]. Additions along K are one chain, which
  // a later call with accumulate continues.
  void (*gemm_nn)(float* c, int64_t ldc, const float* a, int64_t a_row, int64_t a_k, const float* b,
                  int64_t ldb, int64_t M, int64_t N, int64_t K, bool accumulate) noexcept;
};

// All levels built into this binary, plainest first.
std::span<const KernelTable* const> levels();
bool supported(const KernelTable& level);
// The named level; "" means the best this machine supports. kUsage when unknown or unsupported.
Result<const KernelTable*> choose(std::string_view name);
// The level of this process: choose($SLLM_ISA), once. An unusable SLLM_ISA is an error.
const Result<const KernelTable*>& active();

}  // namespace sllm::kernels
