// Haswell (2013), Zen 1 and later.
#include <immintrin.h>

#include "kernels/levels.h"
#include "kernels/target.h"

SLLM_TARGET_BEGIN("avx2,fma,f16c,bmi2")
namespace sllm::kernels::avx2 {
namespace {
#include "kernels/x86/simd256.inl"
// The loops come after the vectors they are written in.
#include "kernels/generic/all.inl"
}  // namespace
}  // namespace sllm::kernels::avx2
SLLM_TARGET_END

namespace sllm::kernels::avx2 {
constinit const KernelTable table = SLLM_KERNEL_TABLE("avx2");
}
