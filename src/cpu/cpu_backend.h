// CpuBackend: the arithmetic on this machine's cores, with the best instruction set it has.
#pragma once

#include <memory>

#include "ops/backend.h"

namespace sllm {

// threads <= 0: all cores this process may use. Throws ResultError when SLLM_ISA names a level that
// this processor lacks (ask kernels::active() first for a sentence instead).
std::shared_ptr<Backend> make_cpu_backend(int threads);

}  // namespace sllm
