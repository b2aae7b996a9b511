// The class behind make_cpu_backend; one .cc per group of operations.
#pragma once

#include <atomic>

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

  void embed(float* y, const Tensor& table, std::span<const int32_t> ids) override;
  void embed_backward(float* dtable, const float* dy, std::span<const int32_t> ids,
                      int64_t D) override;
  void rms_norm(float* y, float* r, const float* x, const float* w, int64_t N, int64_t D,
                float eps) override;
  void rms_norm_backward(float* dx, float* dw, const float* dy, const float* x, const float* w,
                         const float* r, int64_t N, int64_t D) override;
  void layer_norm(float* y, float* stats, const float* x, const float* w, const float* b, int64_t N,
                  int64_t D, float eps) override;
  void layer_norm_backward(float* dx, float* dw, float* db, const float* dy, const float* x,
                           const float* w, const float* stats, int64_t N, int64_t D) override;
  void rope(float* x, const float* cos, const float* sin, int64_t N, int64_t heads, int64_t Dh,
            int64_t R, bool inverse) override;
  void attention(float* out, const float* q, std::span<const AttentionSegment> segments,
                 AttentionShape shape) override;
  void attention_train(float* out, float* lse, const float* q, const float* k, const float* v,
                       std::span<const AttentionSegment> segments, AttentionShape shape) override;
  void attention_backward(float* dq, float* dk, float* dv, const float* dout, const float* q,
                          const float* k, const float* v, const float* out, const float* lse,
                          std::span<const AttentionSegment> segments,
                          AttentionShape shape) override;
  void short_conv(float* y, const float* x, const float* w, const float* b,
                  std::span<const StateSegment> segments, int64_t C, int64_t K) override;
  void short_conv_backward(float* dx, float* dw, float* db, const float* dy, const float* x,
                           const float* w, std::span<const StateSegment> segments, int64_t C,
                           int64_t K) override;
  void delta_rule(float* out, const float* q, const float* k, const float* v, const float* g,
                  const float* beta, std::span<const StateSegment> segments,
                  DeltaShape shape) override;
  void delta_rule_backward(float* dq, float* dk, float* dv, float* dg, float* dbeta,
                           const float* dout, const float* q, const float* k, const float* v,
                           const float* g, const float* beta,
                           std::span<const StateSegment> segments, DeltaShape shape) override;
  void glu(float* y, const float* gate, const float* up, int64_t n, Activation f) override;
  void glu_backward(float* dgate, float* dup, const float* dy, const float* gate, const float* up,
                    int64_t n, Activation f) override;
  void copy_columns(float* y, int64_t ldy, const float* x, int64_t ldx, int64_t rows,
                    int64_t columns, bool accumulate) override;
  void add(float* y, const float* a, const float* b, int64_t n) override;
  void add_bias(float* y, const float* bias, int64_t N, int64_t D) override;
  void axpy(float* y, float a, const float* x, int64_t n) override;
  void scale(float* x, float a, int64_t n) override;
  double sum_squares(const float* x, int64_t n) override;
  void to_bf16(bf16* y, const float* x, int64_t n) override;
  void from_bf16(float* y, const bf16* x, int64_t n) override;
  void cross_entropy(float* loss, float* dlogits, const float* logits,
                     std::span<const int32_t> targets, const float* row_weight, int64_t V) override;
  void adamw(float* p, const float* g, float* m, float* v, int64_t n,
             const AdamW& options) override;

 private:
  // Runs work(i) for i in [0, n), in turn, on whatever thread is free.
  template <class Work>
  void for_each_task(int64_t n, Work work) {
    if (n <= 1 || pool_.size() == 1) {
      for (int64_t i = 0; i < n; ++i) work(i);
      return;
    }
    std::atomic<int64_t> next{0};
    pool_.run([&](int) {
      for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < n;) work(i);
    });
  }
  template <class Task, class KeysOf>
  void attend(float* out, float* lse, const float* q, const Task& task, int64_t position,
              int64_t total_keys, const AttentionShape& shape, KeysOf keys);
  void attend_backward(float* dq, float* dk, float* dv, const float* dout, const float* q,
                       const float* k, const float* v, const float* out, const float* lse,
                       std::span<const AttentionSegment> segments, const AttentionSegment& segment,
                       int64_t head, const AttentionShape& shape);
  Tensor rows_f32(Operand& x);
  bool few(int64_t n, int64_t other) const;
  void linear_f32(float* y, const Tensor& x, const Tensor& w, bool accumulate);
  void linear_dx_f32(float* dx, const Tensor& dy, const Tensor& w, bool accumulate);
  void linear_dw_f32(float* dw, const Tensor& dy, const Tensor& x);
  const Tensor& int8_form(Operand& x, int64_t block);
  void linear_int8(float* y, Operand& x, const Tensor& w, bool accumulate);
  void linear_bf16(float* y, Operand& x, const Tensor& w, bool accumulate);
  void linear_dx_bf16(float* dx, Operand& dy, const Tensor& w, bool accumulate);
  void linear_dw_bf16(float* dw, Operand& dy, Operand& x);

  ThreadPool pool_;
  const kernels::KernelTable& kernels_;
};

}  // namespace sllm
