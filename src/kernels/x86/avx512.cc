// Skylake-X (2017) and later.
#include <immintrin.h>

#include "kernels/levels.h"
#include "kernels/target.h"

SLLM_TARGET_BEGIN("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,bmi2")
namespace sllm::kernels::avx512 {
namespace {
// Each file uses the names of those before it.
// clang-format off
#include "kernels/x86/simd512.inl"
#include "kernels/generic/all.inl"
#include "kernels/generic/decode_bf16.inl"
#include "kernels/x86/widen_8x8.inl"
#include "kernels/generic/panels.inl"
#include "kernels/generic/bf16_panels.inl"
#include "kernels/generic/bf16_outer.inl"
#include "kernels/x86/int8_formats.inl"
#include "kernels/x86/int8_operands.inl"
#include "kernels/x86/int8_maddubs.inl"
constexpr int kFewRows = 3;  // the most that int8_rows takes
#include "kernels/x86/int8_rows.inl"
constexpr int kTileRows = 4;  // the most that int8_tile takes
#include "kernels/x86/int8_gemm.inl"
// clang-format on
}  // namespace
}  // namespace sllm::kernels::avx512
SLLM_TARGET_END

namespace sllm::kernels::avx512 {
constinit const KernelTable table = SLLM_KERNEL_TABLE("avx512", SLLM_INT8_GEMMS);
}
