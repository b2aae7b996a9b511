// Linear, Attention and Mlp over flat rows; see layers.h.
#include "models/layers.h"

#include <cmath>

#include "base/check.h"

namespace sllm {

Pass::Pass(Context& context, const Batch& rows, const RopeTable& rope) : ctx(context), batch(rows) {
  std::vector<int64_t> positions;
  positions.reserve(batch.tokens.size());
  for (const Segment& s : batch.segments) {
    SLLM_CHECK(s.first_row == static_cast<int64_t>(positions.size()),
               "batch: segments must cover the rows in order");
    SLLM_CHECK((s.state == nullptr) == (batch.segments.front().state == nullptr),
               "batch: either every segment has a state or none");
    for (int64_t i = 0; i < s.rows; ++i) positions.push_back(s.position + i);
    segments_.push_back({s.first_row, s.rows, s.position, {}});
    training_ |= s.state == nullptr;
    adapted_ |= s.adapter != nullptr;
  }
  SLLM_CHECK(positions.size() == batch.tokens.size(), "batch: segments cover {} of {} rows",
             positions.size(), batch.tokens.size());
  rope.rows(positions, cos, sin);
}

void Pass::check_interrupt() const {
  if (batch.interrupt && batch.interrupt->load(std::memory_order_relaxed)) throw Interrupted();
}

std::span<const AttentionSegment> Pass::remember(int64_t layer, const Tensor& k, const Tensor& v) {
  const int64_t width = k.cols();
  for (size_t i = 0; i < segments_.size(); ++i) {
    SequenceState& state = *batch.segments[i].state;
    AttentionSegment& s = segments_[i];
    state.append(layer, s.position, k.data<float>() + s.first_row * width,
                 v.data<float>() + s.first_row * width, s.rows);
    s.kv = state.view(layer);
  }
  return segments_;
}

std::vector<LoraRows> Pass::lora_rows(const std::string& module) const {
  std::vector<LoraRows> rows;
  if (!adapted_) return rows;
  for (const Segment& s : batch.segments) {
    if (!s.adapter) continue;
    const auto found = s.adapter->modules.find(module);
    if (found == s.adapter->modules.end()) continue;
    const Lora* lora = &found->second;
    if (!rows.empty() && rows.back().lora == lora &&
        rows.back().first_row + rows.back().rows == s.first_row)
      rows.back().rows += s.rows;
    else
      rows.push_back({s.first_row, s.rows, lora});
  }
  return rows;
}

void Pass::finish() {
  if (training_) return;
  for (const Segment& s : batch.segments) s.state->advance(s.rows);
}

Tensor Linear::forward(Pass& pass, const Input& x) const {
  return ops::linear(pass.ctx, x, weight, bias.defined() ? &bias.tensor() : nullptr,
                     pass.lora_rows(name));
}

Tensor Attention::forward(Pass& pass, const Tensor& x) const {
  const Input in = as_input(x);
  Tensor q = q_proj.forward(pass, in);
  Tensor k = k_proj.forward(pass, in);
  const Tensor v = v_proj.forward(pass, in);
  ops::rope(pass.ctx, q, pass.cos, pass.sin, shape.H);
  ops::rope(pass.ctx, k, pass.cos, pass.sin, shape.Hk);
  Tensor y = pass.training() ? ops::attention_train(pass.ctx, q, k, v, pass.segments(), shape)
                             : ops::attention(pass.ctx, q, pass.remember(layer, k, v), shape);
  return o_proj.forward(pass, as_input(std::move(y)));
}

Tensor Mlp::forward(Pass& pass, const Tensor& x) const {
  const Input in = as_input(x);
  const Tensor gate = gate_proj.forward(pass, in), up = up_proj.forward(pass, in);
  return down_proj.forward(pass, as_input(ops::glu(pass.ctx, gate, up, Activation::kSilu)));
}

Tensor PreNormBlock::forward(Pass& pass, const Tensor& x) const {
  const Tensor h = ops::add(pass.ctx, x, attention.forward(pass, attention_norm.forward(pass, x)));
  return ops::add(pass.ctx, h, mlp.forward(pass, mlp_norm.forward(pass, h)));
}

std::vector<Linear*> PreNormBlock::linears() {
  return {&attention.q_proj, &attention.k_proj, &attention.v_proj, &attention.o_proj,
          &mlp.gate_proj,    &mlp.up_proj,      &mlp.down_proj};
}

std::vector<std::pair<std::string, RmsNorm*>> PreNormBlock::norms() {
  return {{"input_layernorm", &attention_norm}, {"post_attention_layernorm", &mlp_norm}};
}

RmsNorm load_norm(Loader& loader, const std::string& prefix) {
  return {loader.vector(prefix + ".weight", loader.config().D), loader.config().norm_eps};
}

Linear load_linear(Loader& loader, const std::string& prefix, int64_t out, int64_t in, bool bias) {
  Linear linear{prefix, loader.matrix(prefix + ".weight", out, in), {}};
  if (bias) linear.bias = loader.vector(prefix + ".bias", out);
  return linear;
}

Attention load_attention(Loader& loader, const std::string& prefix, int64_t layer,
                         AttentionBias bias) {
  const ModelConfig& c = loader.config();
  const auto linear = [&](const char* name, int64_t out, int64_t in, bool with_bias) {
    return load_linear(loader, prefix + name, out, in, with_bias);
  };
  return {layer,
          {c.H, c.Hk, c.Dh, 1.0f / std::sqrt(static_cast<float>(c.Dh)), c.sliding_window},
          linear(".q_proj", c.H * c.Dh, c.D, bias.qkv),
          linear(".k_proj", c.Hk * c.Dh, c.D, bias.qkv),
          linear(".v_proj", c.Hk * c.Dh, c.D, bias.qkv),
          linear(".o_proj", c.D, c.H * c.Dh, bias.o)};
}

Mlp load_mlp(Loader& loader, const std::string& prefix) {
  const ModelConfig& c = loader.config();
  return {load_linear(loader, prefix + ".gate_proj", c.F, c.D, c.mlp_bias),
          load_linear(loader, prefix + ".up_proj", c.F, c.D, c.mlp_bias),
          load_linear(loader, prefix + ".down_proj", c.D, c.F, c.mlp_bias)};
}

PreNormBlock load_pre_norm_block(Loader& loader, const std::string& prefix, int64_t layer,
                                 AttentionBias bias) {
  return {load_norm(loader, prefix + ".input_layernorm"),
          load_norm(loader, prefix + ".post_attention_layernorm"),
          load_attention(loader, prefix + ".self_attn", layer, bias),
          load_mlp(loader, prefix + ".mlp")};
}

}  // namespace sllm
