// Zen 4 (2022), Cooper Lake and later: bf16 dot products.
#include <immintrin.h>

#include "kernels/levels.h"
#include "kernels/target.h"

SLLM_TARGET_BEGIN("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,bmi2,avx512vnni,avx512bf16")
namespace sllm::kernels::avx512_bf16 {
namespace {
// Each file uses the names of those before it.
// clang-format off
#include "kernels/x86/simd512.inl"
#include "kernels/generic/all.inl"
#include "kernels/x86/decode_bf16.inl"
#include "kernels/x86/bf16_native.inl"
#include "kernels/generic/panels.inl"
#include "kernels/generic/bf16_outer.inl"
#include "kernels/x86/int8_formats.inl"
#include "kernels/x86/int8_operands.inl"
#include "kernels/x86/int8_vnni.inl"
constexpr int kFewRows = 1;  // the most that int8_rows takes
#include "kernels/x86/int8_rows.inl"
constexpr int kTileRows = 8;  // the most that int8_tile takes
#include "kernels/x86/int8_gemm.inl"
// clang-format on
}  // namespace
}  // namespace sllm::kernels::avx512_bf16
SLLM_TARGET_END

namespace sllm::kernels::avx512_bf16 {
constinit const KernelTable table = SLLM_KERNEL_TABLE("avx512_bf16", SLLM_INT8_GEMMS);
}
