// Construction of the CPU backend.
#include "cpu/cpu_backend.h"

#include "cpu/cpu_backend_impl.h"

namespace sllm {

std::shared_ptr<Backend> make_cpu_backend(int threads) {
  return std::make_shared<CpuBackend>(threads, *kernels::active().value());
}

}  // namespace sllm
