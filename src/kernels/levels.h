// The tables that src/kernels/x86/*.cc define, and how each is filled from a target region.
#pragma once

#include "kernels/table.h"

// Names resolve to the functions of the surrounding namespace (one per instruction set).
#define SLLM_KERNEL_TABLE(level) \
  { .name = level, .gemm_nt = gemm_nt, .gemm_nn = gemm_nn }

namespace sllm::kernels {
namespace scalar {
extern const KernelTable table;
}
namespace avx2 {
extern const KernelTable table;
}
namespace avx512 {
extern const KernelTable table;
}
}  // namespace sllm::kernels
