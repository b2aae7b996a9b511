// The parts that architectures are built from: RmsNorm, Linear (bias, LoRA, any weight type),
// Attention and Mlp, and the Pass that one forward's layers share.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "models/loader.h"
#include "models/model.h"
#include "models/rope.h"
#include "ops/ops.h"

namespace sllm {

// What all layers of one forward share: the batch, its rope tables and its attention segments.
class Pass {
 public:
  Pass(Context& context, const Batch& rows, const RopeTable& rope);
  Context& ctx;
  const Batch& batch;
  Tensor cos, sin;  // [N, Dh/2]

  bool training() const { return training_; }
  // Between layers: throws Interrupted when the batch's owner asked for it.
  void check_interrupt() const;
  // Stores this layer's new keys and values and returns the segments with their views of it.
  std::span<const AttentionSegment> remember(int64_t layer, const Tensor& k, const Tensor& v);
  std::span<const AttentionSegment> segments() const { return segments_; }
  // Rows that use an adapter for `module`; adjacent ones with the same adapter are joined.
  std::vector<LoraRows> lora_rows(const std::string& module) const;
  void finish();  // all layers are done: the states advance

 private:
  std::vector<AttentionSegment> segments_;
  bool training_ = false, adapted_ = false;
};

struct RmsNorm {
  Weight weight;  // F32 [D]
  float eps = 0;
  Tensor forward(Pass& pass, const Tensor& x) const {
    return ops::rms_norm(pass.ctx, x, weight.tensor(), eps);
  }
};

using Input = std::shared_ptr<Operand>;
inline Input as_input(Tensor x) { return std::make_shared<Operand>(std::move(x)); }

// y = x Wᵀ + b, plus the low-rank updates of the adapters that the rows use.
struct Linear {
  std::string name;  // "model.layers.0.self_attn.q_proj"
  Weight weight;     // [out, in]
  Weight bias;       // F32 [out], or undefined
  Tensor forward(Pass& pass, const Input& x) const;
};

// Grouped-query attention with rotary positions (Ainslie et al. 2023).
struct Attention {
  int64_t layer = 0;
  AttentionShape shape{};
  Linear q_proj, k_proj, v_proj, o_proj;
  Tensor forward(Pass& pass, const Tensor& x) const;  // [N, D] -> [N, D]
};

// SwiGLU: down(silu(gate x) * up x).
struct Mlp {
  Linear gate_proj, up_proj, down_proj;
  Tensor forward(Pass& pass, const Tensor& x) const;  // [N, D] -> [N, D]
};

// h = x + attention(norm(x)); y = h + mlp(norm(h)). The block of Llama and its kin.
struct PreNormBlock {
  RmsNorm attention_norm, mlp_norm;
  Attention attention;
  Mlp mlp;
  Tensor forward(Pass& pass, const Tensor& x) const;  // [N, D] -> [N, D]
  std::vector<Linear*> linears();                     // in forward order
  std::vector<std::pair<std::string, RmsNorm*>> norms();
};

// Each takes its tensors from the loader under `prefix`.
struct AttentionBias {
  bool qkv = false, o = false;
};
RmsNorm load_norm(Loader& loader, const std::string& prefix);
Linear load_linear(Loader& loader, const std::string& prefix, int64_t out, int64_t in, bool bias);
Attention load_attention(Loader& loader, const std::string& prefix, int64_t layer,
                         AttentionBias bias);
Mlp load_mlp(Loader& loader, const std::string& prefix);
PreNormBlock load_pre_norm_block(Loader& loader, const std::string& prefix, int64_t layer,
                                 AttentionBias bias);

}  // namespace sllm
