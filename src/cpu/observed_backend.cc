#include "cpu/observed_backend.h"

#include "cpu/cpu_backend_impl.h"

namespace sllm {
namespace {

class ObservedBackend final : public CpuBackend {
 public:
  ObservedBackend(int threads, ProductObserver observe)
      : CpuBackend(threads, *kernels::active().value()), observe_(std::move(observe)) {}

  void linear(float* y, Operand& x, const Weight& w, Numerics numerics, bool accumulate) override {
    observe_(w, x.f32());
    CpuBackend::linear(y, x, w, numerics, accumulate);
  }

 private:
  ProductObserver observe_;
};

}  // namespace

std::shared_ptr<Backend> make_observed_backend(int threads, ProductObserver observe) {
  return std::make_shared<ObservedBackend>(threads, std::move(observe));
}

}  // namespace sllm
