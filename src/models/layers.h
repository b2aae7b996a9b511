// The parts that architectures are built from: RmsNorm, LayerNorm, Linear (bias, LoRA, any weight
// type), Attention and Mlp, and the Pass that one forward's layers share.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "models/loader.h"
#include "models/model.h"
#include "models/rope.h"
#include "models/tensor_names.h"
#include "ops/ops.h"

namespace sllm {

// The rotary tables of a model: sliding layers may have their own.
struct RopeTables {
  explicit RopeTables(const ModelConfig& config);
  RopeTable full, sliding;
};

// What all layers of one forward share: the batch, its rope angles and its attention segments.
class Pass {
 public:
  Pass(Context& context, const Batch& rows, const ModelConfig& config, const RopeTables& rope);
  Context& ctx;
  const Batch& batch;
  const ModelConfig& config;

  bool training() const { return training_; }
  const Angles& angles(LayerKind kind) const {
    return kind == LayerKind::kSliding ? sliding_angles_ : angles_;
  }
  // What each layer gets of every token beside the rows (Decoder's layer inputs): [L] of [N, W].
  std::vector<Tensor> layer_inputs;
  const Tensor& query_scale() const { return query_scale_; }  // [N, 1], or undefined
  // Between layers: throws Interrupted when the batch's owner asked for it.
  void check_interrupt() const;
  // Stores this layer's new keys and values and returns the segments with their views of it. A
  // layer that reads those of an earlier one (ModelConfig::kv_layer) has none: k is undefined.
  std::span<const AttentionSegment> remember(int64_t layer, const Tensor& k, const Tensor& v);
  // The same in training: this layer's own, kept for those that read them, or an earlier one's.
  std::pair<Tensor, Tensor> share(int64_t layer, const Tensor& k, const Tensor& v);
  std::span<const AttentionSegment> segments() const { return segments_; }
  // The segments with this recurrent layer's states, which its operations move on (null: training).
  // Once a layer. `behind`: the same with what lies so many numbers further.
  std::vector<StateSegment> states(int64_t layer) const;
  static std::vector<StateSegment> behind(std::vector<StateSegment> states, int64_t numbers);
  // Rows that use an adapter for `module`; adjacent ones with the same adapter are joined.
  std::vector<LoraRows> lora_rows(const std::string& module) const;
  void finish();  // all layers are done: the states advance

 private:
  std::vector<AttentionSegment> segments_;
  std::map<int64_t, std::pair<Tensor, Tensor>> shared_;  // by layer
  Angles angles_, sliding_angles_;
  Tensor query_scale_;
  bool training_ = false, adapted_ = false;
};

// A weight and its Hugging Face name.
using Parameters = std::vector<std::pair<std::string, Weight*>>;

// Over rows, or over groups (heads) of as many columns as the weight has.
struct RmsNorm {
  std::string name;  // "model.layers.0.input_layernorm"; empty: absent, rows pass as they are
  Weight weight;     // F32 [D]
  float eps = 0;
  bool around_one = false;  // multiplies by 1 + weight (Gemma)
  Tensor forward(Pass& pass, const Tensor& x) const;
  void collect(Parameters& out) {
    if (!name.empty()) out.emplace_back(name + ".weight", &weight);
  }
};

struct LayerNorm {
  std::string name;
  Weight weight, bias;  // F32 [D]
  float eps = 0;
  Tensor forward(Pass& pass, const Tensor& x) const {
    return ops::layer_norm(pass.ctx, x, weight.tensor(), bias.tensor(), eps);
  }
  void collect(Parameters& out) {
    out.emplace_back(name + ".weight", &weight);
    out.emplace_back(name + ".bias", &bias);
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
  void collect(Parameters& out) {
    out.emplace_back(name + ".weight", &weight);
    if (bias.defined()) out.emplace_back(name + ".bias", &bias);
  }
};

// A depthwise causal convolution over the last conv_kernel rows.
struct Convolution {
  std::string name;
  Weight weight, bias;  // F32 [C, 1, K], [C] or undefined
  Tensor forward(Pass& pass, const Tensor& x, std::span<const StateSegment> states) const {
    return ops::short_conv(pass.ctx, x, weight.tensor(), bias.tensor(), states);
  }
  void collect(Parameters& out) {
    out.emplace_back(name + ".weight", &weight);
    if (bias.defined()) out.emplace_back(name + ".bias", &bias);
  }
};

// Grouped-query attention (Ainslie et al. 2023) with rotary positions, and with norms on queries
// and keys where the architecture has them (Henry et al. 2020).
struct Attention {
  int64_t layer = 0;
  AttentionShape shape{};
  bool rotates = true;
  Linear q_proj, k_proj, v_proj, o_proj;
  RmsNorm q_norm, k_norm;
  Tensor forward(Pass& pass, const Tensor& x) const;  // [N, D] -> [N, D]
  // The middle of it, for architectures that make q, k and v in their own way: rotates q and k in
  // place and returns the heads' outputs [N, H*Dh]. k and v are undefined where Pass::share says.
  Tensor mix(Pass& pass, Tensor q, Tensor k, Tensor v) const;
};

// Gated linear unit (Shazeer 2020): down(f(gate x) * up x).
struct Mlp {
  Linear gate_proj, up_proj, down_proj;
  Activation activation = Activation::kSilu;
  Tensor forward(Pass& pass, const Tensor& x) const;  // [N, D] -> [N, D]
};

// One layer of a transformer. Norms stand before the sublayers (Llama), behind them (OLMo 2) or
// both (Gemma 2); an absent one passes its rows as they are. With s = residual_scale:
//   h = x + s norm'(attention(norm(x)));   y = h + s norm'(mlp(norm(h)))
struct TransformerBlock {
  RmsNorm attention_norm, attention_post_norm, mlp_norm, mlp_post_norm;
  Attention attention;
  Mlp mlp;
  Tensor forward(Pass& pass, const Tensor& x) const;  // [N, D] -> [N, D]
  std::vector<Linear*> linears();                     // in forward order
  void norms(Parameters& out);
};

// Each takes its tensors from the loader under `prefix`; what a layer of this index is and has, the
// configuration says.
RmsNorm load_norm(Loader& loader, const std::string& name, int64_t width);
inline RmsNorm load_norm(Loader& loader, const std::string& name) {
  return load_norm(loader, name, loader.config().D);
}
Convolution load_convolution(Loader& loader, const std::string& name, int64_t channels,
                             bool bias = false);
LayerNorm load_layer_norm(Loader& loader, const std::string& name);
Linear load_linear(Loader& loader, const std::string& name, int64_t out, int64_t in,
                   bool bias = false);
AttentionShape attention_shape(const ModelConfig& config, int64_t layer);
Attention load_attention(Loader& loader, const std::string& prefix, int64_t layer);
Mlp load_mlp(Loader& loader, const std::string& prefix, int64_t layer);
TransformerBlock load_block(Loader& loader, const std::string& prefix, int64_t layer,
                            const BlockNames& names);

}  // namespace sllm
