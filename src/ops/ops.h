// Differentiable operations on flat rows [N, D]. Each op file shows formula, forward, backward and
// reference on one screen. With ctx.tape set, an op whose inputs need gradients records its
// backward; without it nothing is kept: prefill and decode never pay for training.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "ops/backend.h"

namespace sllm {

// What the tape remembers of a tensor: which one and its shape, but not its memory.
struct Var {
  uint64_t id = 0;
  Shape shape;
  Var() = default;
  Var(const Tensor& t) : id(t.id()), shape(t.shape()) {}
  Var(uint64_t tensor_id, Shape tensor_shape) : id(tensor_id), shape(std::move(tensor_shape)) {}
};

// Records what forward did and replays the derivatives in reverse. Gradients are f32 tensors keyed
// by Tensor::id. Leaves (parameters) are announced with `watch`.
class Tape {
 public:
  // Reads dy, the gradient of the output, and adds into the gradients of the inputs.
  using Backward = std::function<void(Tape&, const Tensor& dy)>;

  void watch(const Tensor& leaf);  // gradients are wanted for this tensor
  bool needs(uint64_t id) const;   // does any gradient flow through this tensor?
  // The gradient of `output` flows on to `inputs`. An in-place op names one tensor as both.
  void record(const Var& output, const std::vector<uint64_t>& inputs, Backward backward);
  bool has_grad(uint64_t id) const { return grads_.contains(id); }
  Tensor grad(const Var& v);  // zeros [same shape] on first use
  // Where a backward writes its share: `accumulate` says whether something is there already.
  struct Share {
    float* data;
    bool accumulate;
  };
  Share share(const Var& v);
  // Adds g, or keeps it as the gradient when there is none yet (g must not be used afterwards).
  // Does nothing when no gradient is wanted.
  void add_grad(Backend& backend, const Var& v, Tensor g);
  Tensor take_grad(uint64_t id);  // moves it out; undefined when there is none
  // Runs all recorded backwards, newest first, freeing each one's saved tensors at once. Called
  // after the loss op has seeded its gradient. `on_ready(leaf)` fires when a leaf's gradient is
  // complete (a leaf that no gradient reached has none).
  void backward(const std::function<void(const Tensor& leaf)>& on_ready = {});
  void clear();  // forgets everything but the watched leaves

 private:
  struct Node {
    uint64_t output;
    std::vector<uint64_t> leaves;  // watched inputs
    Backward backward;
  };
  std::vector<Node> nodes_;
  std::unordered_map<uint64_t, Tensor> grads_;
  std::unordered_map<uint64_t, Tensor> watched_;
  std::unordered_map<uint64_t, int64_t> pending_;  // recorded uses of a leaf
  std::unordered_set<uint64_t> flows_;
};

struct Context {
  Backend& backend;
  Numerics numerics = Numerics::kExact;
  Tape* tape = nullptr;
  bool recording(std::initializer_list<uint64_t> inputs) const {
    if (!tape) return false;
    for (uint64_t id : inputs)
      if (tape->needs(id)) return true;
    return false;
  }
};

// What a backward will read again: the tensor itself in exact mode, a bf16 copy otherwise.
class Saved {
 public:
  Saved() = default;
  Saved(Context& ctx, const Tensor& x);
  Tensor f32(Backend& backend) const;

 private:
  Tensor kept_;
};

// Low-rank update of one linear: y += scale * (x Aᵀ) Bᵀ. A [R, K], B [N, R]; F32. Hu et al. 2021.
// With DoRA (Liu et al. 2024) each output is then multiplied, the bias left out; inference only.
struct Lora {
  Weight A, B;
  float scale = 1;
  Tensor gain = {};  // F32 [N], or undefined
};
// Rows of a batch that use one adapter's LoRA for this linear; null: none.
struct LoraRows {
  int64_t first_row, rows;
  const Lora* lora;
};

// What a model does to the products of its head: z = scale l, then softcap tanh(z / softcap) unless
// that is 0.
struct LogitShape {
  float scale = 1, softcap = 0;
};

namespace ops {

Tensor embed(Context& ctx, const Weight& table, std::span<const int32_t> ids);  // [N, D]
// x [N, G * w.size()]: each row, or each of its G groups (heads), for itself.
Tensor rms_norm(Context& ctx, const Tensor& x, const Tensor& w, float eps);
Tensor rms_norm(Context& ctx, const Tensor& x, int64_t width, float eps);  // w = 1
// x / sqrt(sum x² + eps) in groups of `width` columns.
Tensor l2_norm(Context& ctx, const Tensor& x, int64_t width, float eps);
Tensor layer_norm(Context& ctx, const Tensor& x, const Tensor& w, const Tensor& b,
                  float eps);  // b may be undefined
// y = x Wᵀ + b (+ LoRA on the given rows). `x` is an Operand so that products share its rounded
// forms.
Tensor linear(Context& ctx, const std::shared_ptr<Operand>& x, const Weight& w,
              const Tensor* bias = nullptr, std::span<const LoraRows> lora = {});
// In place. cos, sin [N, R/2] turn the first R columns of each head; a factor on the turned ones
// (yarn, longrope) is folded into both.
void rope(Context& ctx, Tensor& x, const Tensor& cos, const Tensor& sin, int64_t heads);
// Inference: keys and values come from the segments' KvViews.
Tensor attention(Context& ctx, const Tensor& q, std::span<const AttentionSegment> segments,
                 AttentionShape shape);
// Training, and encoders: no cache; the segments' own rows.
Tensor attention_train(Context& ctx, const Tensor& q, const Tensor& k, const Tensor& v,
                       std::span<const AttentionSegment> segments, AttentionShape shape);
// Depthwise causal convolution over each segment's rows; x [N, C], w [C, K] (or [C, 1, K]), b [C]
// or undefined; a segment's state, when given, is [K-1, C]: the rows before it, oldest first.
Tensor short_conv(Context& ctx, const Tensor& x, const Tensor& w, const Tensor& b,
                  std::span<const StateSegment> segments);
// Gated delta rule: q, k [N, Hk*Dk], v and the result [N, H*Dv], log decay g and beta [N, H]; a
// segment's state, when given, is [H, Dk, Dv].
Tensor delta_rule(Context& ctx, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& g,
                  const Tensor& beta, std::span<const StateSegment> segments, DeltaShape shape);
// Its g = -exp(A_log) softplus(a); a [N, H], A_log [H].
Tensor decay_gate(Context& ctx, const Tensor& a, const Tensor& A_log);
Tensor activate(Context& ctx, const Tensor& x, Activation f);                  // f(x)
Tensor glu(Context& ctx, const Tensor& gate, const Tensor& up, Activation f);  // f(gate) * up
Tensor add(Context& ctx, const Tensor& a, const Tensor& b);
Tensor scale(Context& ctx, const Tensor& x, float a);  // a x
Tensor shift(Context& ctx, const Tensor& x, float a);  // a + x
// a * b for b [N, G] and a [N, G * W]: every number of b scales W neighbouring columns. W = 1:
// element by element; G = 1: by row. b [D] (one dimension) scales column by column.
Tensor mul(Context& ctx, const Tensor& a, const Tensor& b);
// Takes apart rows [N, groups * sum(widths)]: in each group the parts lie side by side; part p
// becomes [N, groups * widths[p]]. One group: fused projections (q|k|v, gate|up). A group per
// head: what is interleaved by head.
std::vector<Tensor> split_columns(Context& ctx, const Tensor& x, std::span<const int64_t> widths,
                                  int64_t groups = 1);
Tensor gather_rows(Context& ctx, const Tensor& x, std::span<const int32_t> rows);  // [n, D]
// The mean of each segment's rows: [segments, D].
Tensor mean_rows(Context& ctx, const Tensor& x, std::span<const AttentionSegment> segments);
// Next-token loss of hidden rows through the head: the sum of row_weight[i] * loss[i]. Rows of
// weight 0 are left out. Computed in chunks of rows, so that [N, V] never exists; gradients into x
// (and w when watched) are formed at once, so backward() may follow directly. Per-row losses go to
// `row_losses` when given (0 for rows left out).
double linear_cross_entropy(Context& ctx, const Tensor& x, const Weight& head,
                            std::span<const int32_t> targets, std::span<const float> row_weight,
                            std::vector<float>* row_losses = nullptr, LogitShape shape = {});
// What the shape makes of the head's products.
Tensor shape_logits(Context& ctx, const Tensor& products, LogitShape shape);

}  // namespace ops
}  // namespace sllm
