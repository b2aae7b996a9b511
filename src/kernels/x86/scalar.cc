// Plain C++: the level every x86-64 processor runs.
#include <immintrin.h>

#include "kernels/levels.h"
#include "kernels/target.h"

SLLM_TARGET_BEGIN("sse2")
namespace sllm::kernels::scalar {
namespace {
// Each file uses the names of those before it.
// clang-format off
#include "kernels/x86/simd_scalar.inl"
#include "kernels/generic/all.inl"
#include "kernels/generic/decode_bf16.inl"
#include "kernels/generic/bf16_widen.inl"
#include "kernels/generic/panels.inl"
#include "kernels/generic/bf16_outer.inl"
#include "kernels/generic/no_int8.inl"
// clang-format on
}  // namespace
}  // namespace sllm::kernels::scalar
SLLM_TARGET_END

namespace sllm::kernels::scalar {
constinit const KernelTable table = SLLM_KERNEL_TABLE("scalar", SLLM_NO_INT8_GEMMS);
}
