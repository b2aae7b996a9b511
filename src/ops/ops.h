// Differentiable operations on flat rows [N, D]. Each op file shows formula, forward, backward and
// reference on one screen. With ctx.tape set, an op whose inputs need gradients records its
// backward; without it nothing is kept: prefill and decode never pay for training.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "ops/backend.h"

namespace sllm {

// Records what forward did and replays the derivatives in reverse. Gradients are f32 tensors keyed
// by storage identity. Leaves (parameters) are announced with `watch`.
class Tape {
 public:
  void watch(const Tensor& leaf);     // gradients are wanted for this tensor
  bool needs(const Tensor& t) const;  // does any gradient flow through t?
  // `backward` reads grad(output) and adds into the gradients of its inputs.
  void record(const Tensor& output, std::function<void(Tape&)> backward);
  bool has_grad(const Tensor& t) const;
  Tensor grad(const Tensor& t);  // zeros [same shape] on first use
  void set_grad(const Tensor& t, Tensor g);
  Tensor take_grad(const Tensor& t);  // moves it out
  // Runs all recorded backwards, newest first, freeing each one's saved tensors at once. Called
  // after the loss op has seeded its gradient. `on_ready(leaf)` fires when a leaf's gradient is
  // complete.
  void backward(const std::function<void(const Tensor& leaf)>& on_ready = {});
  void clear();

 private:
  struct Node {
    Tensor output;
    std::function<void(Tape&)> backward;
  };
  std::vector<Node> nodes_;
  std::unordered_map<const void*, Tensor> grads_;
  std::unordered_map<const void*, Tensor> watched_;
  std::unordered_map<const void*, bool> flows_;
};

struct Context {
  Backend& backend;
  Numerics numerics = Numerics::kExact;
  Tape* tape = nullptr;
  bool recording(std::initializer_list<const Tensor*> inputs) const {
    if (!tape) return false;
    for (const Tensor* t : inputs)
      if (t && t->defined() && tape->needs(*t)) return true;
    return false;
  }
};

// Low-rank update of one linear: y += scale * (x Aᵀ) Bᵀ. A [R, K], B [N, R]; F32. Hu et al. 2021.
struct Lora {
  Weight A, B;
  float scale = 1;
};
// Rows of a batch that use one adapter's LoRA for this linear; null: none.
struct LoraRows {
  int64_t first_row, rows;
  const Lora* lora;
};

namespace ops {

Tensor embed(Context& ctx, const Weight& table, std::span<const int32_t> ids);  // [N, D]
Tensor rms_norm(Context& ctx, const Tensor& x, const Tensor& w, float eps);     // [N, D]
// y = x Wᵀ + b (+ LoRA on the given rows). `x` is an Operand so that products share its rounded
// forms.
Tensor linear(Context& ctx, const std::shared_ptr<Operand>& x, const Weight& w,
              const Tensor* bias = nullptr, std::span<const LoraRows> lora = {});
void rope(Context& ctx, Tensor& x, const Tensor& cos, const Tensor& sin,
          int64_t heads);  // in place
// Inference: keys and values come from the segments' KvViews.
Tensor attention(Context& ctx, const Tensor& q, std::span<const AttentionSegment> segments,
                 AttentionShape shape);
// Training: no cache; block-diagonal causal over the segments' own rows.
Tensor attention_train(Context& ctx, const Tensor& q, const Tensor& k, const Tensor& v,
                       std::span<const AttentionSegment> segments, AttentionShape shape);
Tensor swiglu(Context& ctx, const Tensor& gate, const Tensor& up);
Tensor add(Context& ctx, const Tensor& a, const Tensor& b);
Tensor gather_rows(Context& ctx, const Tensor& x, std::span<const int32_t> rows);  // [n, D]
// Mean (by row_weight) next-token loss of hidden rows through the head, computed in chunks of rows
// so that [N, V] never exists; gradients into x (and w when watched) are formed at once. Returns
// the sum of row_weight[i] * loss[i]; per-row losses go to `row_losses` when given.
double linear_cross_entropy(Context& ctx, const Tensor& x, const Weight& head,
                            std::span<const int32_t> targets, std::span<const float> row_weight,
                            std::vector<float>* row_losses = nullptr);

}  // namespace ops
}  // namespace sllm
