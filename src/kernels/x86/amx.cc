// Sapphire Rapids (2023) and later: tiles for bf16 and int8.
#include <immintrin.h>

#include "kernels/levels.h"
#include "kernels/target.h"

SLLM_TARGET_BEGIN(
    "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,bmi2,avx512vnni,avx512bf16,amx-tile,amx-bf16,"
    "amx-int8")
namespace sllm::kernels::amx {
namespace {
// Each file uses the names of those before it.
// clang-format off
#include "kernels/x86/simd512.inl"
#include "kernels/generic/all.inl"
#include "kernels/x86/decode_bf16.inl"
#include "kernels/x86/amx_bf16.inl"
#include "kernels/x86/int8_formats.inl"
#include "kernels/x86/int8_operands.inl"
#include "kernels/x86/int8_vnni.inl"
constexpr int kFewRows = 1;  // the most that int8_rows takes
#include "kernels/x86/int8_rows.inl"
#include "kernels/x86/int8_amx.inl"
constexpr int kTileRows = 16;  // the most that int8_tile takes
#include "kernels/x86/int8_gemm.inl"
// clang-format on
}  // namespace
}  // namespace sllm::kernels::amx
SLLM_TARGET_END

namespace sllm::kernels::amx {
constinit const KernelTable table = SLLM_KERNEL_TABLE("amx", SLLM_INT8_GEMMS);
}
