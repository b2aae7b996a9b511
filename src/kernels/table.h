// KernelTable: the hot loops as raw-pointer functions, one table per instruction set. A table is
// chosen once per process by CPUID, or forced with SLLM_ISA=scalar|avx2|avx512|...
// Everything here runs on the calling thread, is noexcept and allocates nothing.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

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

  // n weights of each type as f32 (the reference codec's bits) and as bf16 (those, rounded). n: a
  // multiple of the block. Null for integers.
  void (*decode[kDTypeCount])(const void* src, float* dst, int64_t n) noexcept;
  void (*decode_to_bf16[kDTypeCount])(const void* src, uint16_t* dst, int64_t n) noexcept;

  // bf16 products with f32 accumulation. Activations are packed once per product into a layout of
  // the level's own, 16 rows a call; they are rounded there.
  int64_t (*bf16_x_bytes)(int64_t M, int64_t K) noexcept;
  void (*bf16_pack_x)(void* dst, const float* x, int64_t m, int64_t M, int64_t K) noexcept;
  // y[M,N] (+)= x wᵀ. Rows of w are readable and finite up to K rounded up to 32; N rounded up to
  // 16 rows are readable. Each output is summed in one order, whatever M and N are.
  void (*bf16_gemm_nt)(float* y, int64_t ldy, const void* x, const uint16_t* w, int64_t ldw,
                       int64_t M, int64_t N, int64_t K, bool accumulate) noexcept;
  // c[M,N] (+)= a b. Rows of a are zero from K to K rounded up to 32; M rounded up to 16 rows are
  // readable. A chain along K may be continued with accumulate after a multiple of 32.
  int64_t (*bf16_b_bytes)(int64_t K, int64_t N) noexcept;  // of scratch
  void (*bf16_gemm_nn)(float* c, int64_t ldc, const uint16_t* a, int64_t lda, const uint16_t* b,
                       int64_t ldb, int64_t M, int64_t N, int64_t K, bool accumulate,
                       void* scratch) noexcept;
};

// The levels this processor runs, plainest first.
std::vector<const KernelTable*> supported_levels();
// The named level; "" means the best this machine supports. kUsage when unknown or unsupported.
Result<const KernelTable*> choose(std::string_view name);
// The level of this process: choose($SLLM_ISA), once. An unusable SLLM_ISA is an error.
const Result<const KernelTable*>& active();

}  // namespace sllm::kernels
