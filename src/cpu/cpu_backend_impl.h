// The class behind make_cpu_backend; one .cc per group of operations.
#pragma once

#include "base/thread_pool.h"
#include "cpu/cpu_backend.h"
#include "kernels/table.h"

namespace sllm {

class CpuBackend : public Backend {
 public:
  CpuBackend(int threads, const kernels::KernelTable& table) : pool_(threads), kernels_(table) {}
  int threads() const override { return pool_.size(); }

  void linear(float* y, Operand& x, const Weight& w, Numerics numerics, bool accumulate) override;
  void linear_dx(float* dx, Operand& dy, const Weight& w, Numerics numerics,
                 bool accumulate) override;
  void linear_dw(float* dw, Operand& dy, Operand& x, Numerics numerics) override;

 private:
  Tensor rows_f32(Operand& x);
  void linear_f32(float* y, const Tensor& x, const Tensor& w, bool accumulate);
  void linear_dx_f32(float* dx, const Tensor& dy, const Tensor& w, bool accumulate);
  void linear_dw_f32(float* dw, const Tensor& dy, const Tensor& x);
  void linear_bf16(float* y, Operand& x, const Tensor& w, bool accumulate);
  void linear_dx_bf16(float* dx, Operand& dy, const Tensor& w, bool accumulate);
  void linear_dw_bf16(float* dw, Operand& dy, Operand& x);

  ThreadPool pool_;
  const kernels::KernelTable& kernels_;
};

}  // namespace sllm
