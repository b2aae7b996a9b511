// Linear, Attention and Mlp over flat rows; see layers.h.
#include "models/layers.h"

#include <cmath>
#include <tuple>

#include "base/check.h"

namespace sllm {

RopeTables::RopeTables(const ModelConfig& c)
    : full(c.rope, c.rope_dims()), sliding(c.local_rope.value_or(c.rope), c.Dh) {}

Pass::Pass(Context& context, const Batch& rows, const ModelConfig& model, const RopeTables& rope)
    : ctx(context), batch(rows), config(model) {
  std::vector<int64_t> positions, text_lengths;
  positions.reserve(batch.tokens.size());
  for (const Segment& s : batch.segments) {
    SLLM_CHECK(s.first_row == static_cast<int64_t>(positions.size()),
               "batch: segments must cover the rows in order");
    SLLM_CHECK((s.state == nullptr) == (batch.segments.front().state == nullptr),
               "batch: either every segment has a state or none");
    if (s.before >= 0) {
      SLLM_CHECK(!s.state && s.before < std::ssize(segments_), "batch: nothing lies before");
      const AttentionSegment& before = segments_[static_cast<size_t>(s.before)];
      SLLM_CHECK(s.position == before.position + before.rows,
                 "batch: a segment begins at {}, the one before it ends at {}", s.position,
                 before.position + before.rows);
    }
    for (int64_t i = 0; i < s.rows; ++i) positions.push_back(s.position + i);
    text_lengths.resize(positions.size(), std::max(s.text_length, s.position + s.rows));
    segments_.push_back({s.first_row, s.rows, s.position, {}, s.before});
    training_ |= s.state == nullptr;
    adapted_ |= s.adapter != nullptr;
  }
  SLLM_CHECK(config.causal || batch.segments.empty() || training_,
             "batch: an encoder reads whole texts, without states");
  SLLM_CHECK(positions.size() == batch.tokens.size(), "batch: segments cover {} of {} rows",
             positions.size(), batch.tokens.size());
  angles_ = rope.full.rows(positions, text_lengths);
  sliding_angles_ = config.local_rope ? rope.sliding.rows(positions, text_lengths) : angles_;
  if (config.query_scale_beta == 0) return;
  query_scale_ = Tensor::empty(DType::kF32, {std::ssize(positions), 1});
  for (size_t i = 0; i < positions.size(); ++i) {
    const auto turns = static_cast<float>(positions[i] / config.rope.original_context);
    query_scale_.data<float>()[i] = 1 + config.query_scale_beta * std::log(1 + turns);
  }
}

void Pass::check_interrupt() const {
  if (batch.interrupt && batch.interrupt->load(std::memory_order_relaxed)) throw Interrupted();
}

std::span<const AttentionSegment> Pass::remember(int64_t layer, const Tensor& k, const Tensor& v) {
  for (size_t i = 0; i < segments_.size(); ++i) {
    SequenceState& state = *batch.segments[i].state;
    AttentionSegment& s = segments_[i];
    if (k.defined())
      state.append(layer, s.position, k.data<float>() + s.first_row * k.cols(),
                   v.data<float>() + s.first_row * v.cols(), s.rows);
    s.kv = state.view(config.kv_layer(layer));
  }
  return segments_;
}

std::pair<Tensor, Tensor> Pass::share(int64_t layer, const Tensor& k, const Tensor& v) {
  if (!k.defined()) return shared_.at(config.kv_layer(layer));
  const auto reads = [&](int64_t other) { return config.kv_layer(other) == layer; };
  for (int64_t i = config.L - config.kv_readers; i < config.L; ++i)
    if (reads(i)) shared_[layer] = {k, v};
  return {k, v};
}

std::vector<StateSegment> Pass::states(int64_t layer) const {
  std::vector<StateSegment> states;
  for (const Segment& s : batch.segments) {
    SLLM_CHECK(s.before < 0, "batch: a recurrent layer's segments share nothing");
    states.push_back({s.first_row, s.rows, s.state ? s.state->begin(layer) : nullptr});
  }
  return states;
}

std::vector<StateSegment> Pass::behind(std::vector<StateSegment> states, int64_t numbers) {
  for (StateSegment& s : states)
    if (s.state) s.state += numbers;
  return states;
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

Tensor RmsNorm::forward(Pass& pass, const Tensor& x) const {
  if (name.empty()) return x;
  const Tensor& w = weight.tensor();
  return ops::rms_norm(pass.ctx, x, around_one ? ops::shift(pass.ctx, w, 1) : w, eps);
}

Tensor Linear::forward(Pass& pass, const Input& x) const {
  return ops::linear(pass.ctx, x, weight, bias.defined() ? &bias.tensor() : nullptr,
                     pass.lora_rows(name));
}

Tensor Attention::forward(Pass& pass, const Tensor& x) const {
  const Input in = as_input(x);
  const Tensor q = q_norm.forward(pass, q_proj.forward(pass, in));
  const Tensor k = k_norm.forward(pass, k_proj.forward(pass, in));
  const Tensor v = v_proj.forward(pass, in);
  return o_proj.forward(pass, as_input(mix(pass, q, k, v)));
}

Tensor Attention::mix(Pass& pass, Tensor q, Tensor k, Tensor v) const {
  if (rotates) {
    const auto& [cos, sin] = pass.angles(pass.config.kind(layer));
    ops::rope(pass.ctx, q, cos, sin, shape.H);
    if (k.defined()) ops::rope(pass.ctx, k, cos, sin, shape.Hk);
  }
  if (pass.query_scale().defined()) q = ops::mul(pass.ctx, q, pass.query_scale());
  if (!pass.training()) return ops::attention(pass.ctx, q, pass.remember(layer, k, v), shape);
  std::tie(k, v) = pass.share(layer, k, v);
  return ops::attention_train(pass.ctx, q, k, v, pass.segments(), shape);
}

Tensor Mlp::forward(Pass& pass, const Tensor& x) const {
  const Input in = as_input(x);
  const Tensor gate = gate_proj.forward(pass, in), up = up_proj.forward(pass, in);
  return down_proj.forward(pass, as_input(ops::glu(pass.ctx, gate, up, activation)));
}

Tensor TransformerBlock::forward(Pass& pass, const Tensor& x) const {
  const auto add = [&](const Tensor& a, const Tensor& b) {
    const float scale = pass.config.residual_scale;
    return ops::add(pass.ctx, a, scale == 1 ? b : ops::scale(pass.ctx, b, scale));
  };
  const Tensor a = attention.forward(pass, attention_norm.forward(pass, x));
  const Tensor h = add(x, attention_post_norm.forward(pass, a));
  const Tensor m = mlp.forward(pass, mlp_norm.forward(pass, h));
  return add(h, mlp_post_norm.forward(pass, m));
}

std::vector<Linear*> TransformerBlock::linears() {
  return {&attention.q_proj, &attention.k_proj, &attention.v_proj, &attention.o_proj,
          &mlp.gate_proj,    &mlp.up_proj,      &mlp.down_proj};
}

void TransformerBlock::norms(Parameters& out) {
  for (RmsNorm* norm : {&attention_norm, &attention.q_norm, &attention.k_norm, &attention_post_norm,
                        &mlp_norm, &mlp_post_norm})
    norm->collect(out);
}

RmsNorm load_norm(Loader& loader, const std::string& name, int64_t width) {
  return {name, loader.vector(name + ".weight", width), loader.config().norm_eps,
          loader.config().norms_around_one};
}

LayerNorm load_layer_norm(Loader& loader, const std::string& name) {
  const int64_t D = loader.config().D;
  return {name, loader.vector(name + ".weight", D), loader.vector(name + ".bias", D),
          loader.config().norm_eps};
}

Convolution load_convolution(Loader& loader, const std::string& name, int64_t channels, bool bias) {
  const int64_t K = loader.config().conv_kernel;
  Convolution c{name, loader.values(name + ".weight", {channels, 1, K}), {}};
  if (bias) c.bias = loader.vector(name + ".bias", channels);
  return c;
}

Linear load_linear(Loader& loader, const std::string& name, int64_t out, int64_t in, bool bias) {
  Linear linear{name, loader.matrix(name + ".weight", out, in), {}};
  if (bias) linear.bias = loader.vector(name + ".bias", out);
  return linear;
}

AttentionShape attention_shape(const ModelConfig& c, int64_t layer) {
  AttentionShape shape{c.H, c.kv_heads(layer), c.head_width(layer), c.attention_scale,
                       c.window(layer)};
  shape.softcap = c.attention_softcap;
  shape.causal = c.causal;
  if (shape.scale == 0) shape.scale = 1.0f / std::sqrt(static_cast<float>(shape.Dh));
  return shape;
}

Attention load_attention(Loader& loader, const std::string& prefix, int64_t layer) {
  const ModelConfig& c = loader.config();
  Attention a{layer, attention_shape(c, layer), c.rotates(layer)};
  a.q_proj = load_linear(loader, prefix + ".q_proj", c.H * c.Dh, c.D, c.qkv_bias);
  a.k_proj = load_linear(loader, prefix + ".k_proj", c.Hk * c.Dh, c.D, c.qkv_bias);
  a.v_proj = load_linear(loader, prefix + ".v_proj", c.Hk * c.Dh, c.D, c.qkv_bias);
  a.o_proj = load_linear(loader, prefix + ".o_proj", c.D, c.H * c.Dh, c.o_bias);
  return a;
}

Mlp load_mlp(Loader& loader, const std::string& prefix, int64_t layer) {
  const ModelConfig& c = loader.config();
  const int64_t F = c.mlp_width(layer);
  return {load_linear(loader, prefix + ".gate_proj", F, c.D, c.mlp_bias),
          load_linear(loader, prefix + ".up_proj", F, c.D, c.mlp_bias),
          load_linear(loader, prefix + ".down_proj", c.D, F, c.mlp_bias), c.activation};
}

TransformerBlock load_block(Loader& loader, const std::string& prefix, int64_t layer,
                            const BlockNames& names) {
  const ModelConfig& c = loader.config();
  const auto norm = [&](const char* name) {
    return name ? load_norm(loader, prefix + "." + name) : RmsNorm{};
  };
  TransformerBlock block{norm(names.attention_norm),
                         norm(names.attention_post_norm),
                         norm(names.mlp_norm),
                         norm(names.mlp_post_norm),
                         load_attention(loader, prefix + ".self_attn", layer),
                         load_mlp(loader, prefix + ".mlp", layer)};
  if (names.qk_norm != QkNorm::kNone) {
    const bool head = names.qk_norm == QkNorm::kHead;
    block.attention.q_norm =
        load_norm(loader, prefix + ".self_attn.q_norm", head ? c.Dh : c.H * c.Dh);
    block.attention.k_norm =
        load_norm(loader, prefix + ".self_attn.k_norm", head ? c.Dh : c.Hk * c.Dh);
  }
  return block;
}

}  // namespace sllm
