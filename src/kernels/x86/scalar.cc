// Plain C++: the level every x86-64 processor runs.
#include <immintrin.h>

#include "kernels/levels.h"
#include "kernels/target.h"

SLLM_TARGET_BEGIN("sse2")
namespace sllm::kernels::scalar {
namespace {
#include "kernels/x86/simd_scalar.inl"
// The loops come after the vectors they are written in.
#include "kernels/generic/all.inl"
}  // namespace
}  // namespace sllm::kernels::scalar
SLLM_TARGET_END

namespace sllm::kernels::scalar {
constinit const KernelTable table = SLLM_KERNEL_TABLE("scalar");
}
