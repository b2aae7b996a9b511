// Qwen 3.5 (dense, its text part): three layers of four run the gated delta rule (Yang et al. 2024)
// behind a short convolution, the others attend, with a gate on each head's output. Images are not
// read; for text alone the three axes of its rotary positions are one.
#include "models/qwen3_5.h"

#include <algorithm>
#include <cmath>

#include "models/architectures.h"
#include "models/decoder.h"

namespace sllm {
namespace {

// What Hugging Face may leave out and GGUF never does.
void both(ConfigFields& f, const char* hf, const char* gguf, int64_t& value, int64_t otherwise) {
  f.integer({hf, nullptr}, value, otherwise);
  f.integer({nullptr, gguf}, value);
}

void delta_fields(ConfigFields& f, ModelConfig& c) {
  DeltaWidths& d = c.delta;
  both(f, "linear_conv_kernel_dim", "ssm.conv_kernel", c.conv_kernel, 4);
  both(f, "linear_num_key_heads", "ssm.group_count", d.Hk, 16);
  both(f, "linear_num_value_heads", "ssm.time_step_rank", d.H, 32);
  both(f, "linear_key_head_dim", "ssm.state_size", d.Dk, 128);
  f.integer({"linear_value_head_dim", nullptr}, d.Dv, 128);
  const FieldKey inner_key{nullptr, "ssm.inner_size"};
  int64_t inner = f.reading() ? 0 : d.values();
  f.integer(inner_key, inner);
  if (!f.reading() || !f.gguf() || !f.status().ok()) return;
  if (d.H < 1 || inner % d.H != 0)
    return f.fail(bad_input("{} is {}, which is not a multiple of {} heads", f.name_of(inner_key),
                            inner, d.H));
  d.Dv = inner / d.H;
}

// Every `interval`-th layer attends, or a list says which do.
void kind_fields(ConfigFields& f, ModelConfig& c) {
  const FieldKey key{"full_attention_interval", "full_attention_interval"};
  constexpr const char* kList = "attention.recurrent_layers";
  std::vector<bool> recurrent;
  if (f.reading()) {
    int64_t interval = 4;
    f.integer(key, interval, interval);
    if (interval < 1)
      return f.fail(bad_input("{} is {}, expected at least 1", f.name_of(key), interval));
    f.flags(kList, recurrent);
    if (!f.status().ok()) return;
    if (!recurrent.empty() && std::ssize(recurrent) < c.L)
      return f.fail(bad_input("{} lists {} layers of {}", f.name_of({nullptr, kList}),
                              recurrent.size(), c.L));
    for (int64_t i = 0; i < std::min<int64_t>(c.L, 512); ++i) {
      const bool attends =
          recurrent.empty() ? (i + 1) % interval == 0 : !recurrent[static_cast<size_t>(i)];
      c.kinds.push_back(attends ? LayerKind::kFull : LayerKind::kDelta);
    }
  } else {
    for (int64_t i = 0; i < c.L; ++i) recurrent.push_back(!c.attends(i));
    f.flags(kList, recurrent);
  }
  hybrid_layer_fields(f, c, LayerKind::kDelta);
}

void fields(ConfigFields& f, ModelConfig& c) {
  c.norms_around_one = true;
  decoder_fields(f, c, {.head_width = 256});
  rope_fields(f, c, {.partial = 0.25f});
  attention_bias_fields(f, c);
  delta_fields(f, c);
  if (f.reading()) {
    f.integer({nullptr, "nextn_predict_layers"}, c.predictor_layers, 0);
    if (c.predictor_layers < 0 || c.predictor_layers > 64)
      return f.fail(bad_input("{} of {} layers predict further tokens", c.predictor_layers, c.L));
    c.L -= c.predictor_layers;
  }
  kind_fields(f, c);
  if (!f.gguf() || !f.status().ok()) return;
  // llama.cpp wants to see how the rotated pairs are shared between the axes: 11, 11, 10 of 32.
  const int64_t pairs = (c.rope.dims > 0 ? c.rope.dims : c.Dh) / 2;
  std::vector<int64_t> sections = {(pairs + 2) / 3, (pairs + 1) / 3, pairs / 3, 0};
  if (!f.reading()) return f.integers({nullptr, "rope.dimension_sections"}, sections);
  const auto attends = std::ranges::find(c.kinds, LayerKind::kFull) - c.kinds.begin();
  c.qkv_bias = f.has_tensor(fmt::format("blk.{}.attn_q.bias", attends).c_str());
  c.o_bias = f.has_tensor(fmt::format("blk.{}.attn_output.bias", attends).c_str());
}

std::vector<TensorSpec> tensors(const ModelConfig& c) {
  TensorList list;
  model_tensors(list, c);
  const DeltaWidths& d = c.delta;
  const GgufForm heads = tiled_rows(d, 0, 1);
  for (int64_t i = 0; i < c.L; ++i) {
    const std::string hf = hf_layer(i) + ".", gguf = gguf_layer(i) + ".";
    layer_norm_tensor(list, i, "input_layernorm", "attn_norm", c.D, shifted_by_one());
    if (c.attends(i)) {
      const std::string attention = hf + "self_attn.";
      list.linear(attention + "q_proj", gguf + "attn_q", 2 * c.H * c.Dh, c.D, c.qkv_bias);
      list.linear(attention + "k_proj", gguf + "attn_k", c.Hk * c.Dh, c.D, c.qkv_bias);
      list.linear(attention + "v_proj", gguf + "attn_v", c.Hk * c.Dh, c.D, c.qkv_bias);
      list.linear(attention + "o_proj", gguf + "attn_output", c.D, c.H * c.Dh, c.o_bias);
      layer_norm_tensor(list, i, "self_attn.q_norm", "attn_q_norm", c.Dh, shifted_by_one());
      layer_norm_tensor(list, i, "self_attn.k_norm", "attn_k_norm", c.Dh, shifted_by_one());
    } else {
      const std::string linear = hf + "linear_attn.";
      list.linear(linear + "in_proj_qkv", gguf + "attn_qkv", c.conv_channels(i), c.D, false,
                  tiled_rows(d, 2 * d.keys(), d.Dv));
      list.linear(linear + "in_proj_z", gguf + "attn_gate", d.values(), c.D, false,
                  tiled_rows(d, 0, d.Dv));
      list.linear(linear + "in_proj_b", gguf + "ssm_beta", d.H, c.D, false, heads);
      list.linear(linear + "in_proj_a", gguf + "ssm_alpha", d.H, c.D, false, heads);
      list.add(linear + "A_log", gguf + "ssm_a", {d.H}, tiled_decay(d));
      list.add(linear + "dt_bias", gguf + "ssm_dt.bias", {d.H}, heads);
      list.add(linear + "conv1d.weight", gguf + "ssm_conv1d.weight",
               {c.conv_channels(i), 1, c.conv_kernel}, tiled_convolution(d),
               {c.conv_channels(i), c.conv_kernel});
      layer_norm_tensor(list, i, "linear_attn.norm", "ssm_norm", d.Dv);
      list.linear(linear + "out_proj", gguf + "ssm_out", c.D, d.values(), false, tiled_columns(d));
    }
    layer_norm_tensor(list, i, "post_attention_layernorm", "post_attention_norm", c.D,
                      shifted_by_one());
    mlp_tensors(list, c, i);
  }
  return list.take();
}

// Attention whose q_proj yields, head by head, a query and a gate of its output.
struct GatedAttention : Attention {
  static GatedAttention load(Loader& loader, const std::string& prefix, int64_t layer) {
    const ModelConfig& c = loader.config();
    GatedAttention a;
    a.layer = layer, a.shape = attention_shape(c, layer);
    a.q_proj = load_linear(loader, prefix + ".q_proj", 2 * c.H * c.Dh, c.D, c.qkv_bias);
    a.k_proj = load_linear(loader, prefix + ".k_proj", c.Hk * c.Dh, c.D, c.qkv_bias);
    a.v_proj = load_linear(loader, prefix + ".v_proj", c.Hk * c.Dh, c.D, c.qkv_bias);
    a.o_proj = load_linear(loader, prefix + ".o_proj", c.D, c.H * c.Dh, c.o_bias);
    a.q_norm = load_norm(loader, prefix + ".q_norm", c.Dh);
    a.k_norm = load_norm(loader, prefix + ".k_norm", c.Dh);
    return a;
  }
  Tensor forward(Pass& pass, const Tensor& x) const {
    const Input in = as_input(x);
    const int64_t widths[] = {shape.Dh, shape.Dh};
    const auto parts = ops::split_columns(pass.ctx, q_proj.forward(pass, in), widths, shape.H);
    const Tensor k = k_norm.forward(pass, k_proj.forward(pass, in));
    const Tensor out = mix(pass, q_norm.forward(pass, parts[0]), k, v_proj.forward(pass, in));
    return o_proj.forward(pass, as_input(ops::glu(pass.ctx, parts[1], out, Activation::kSigmoid)));
  }
};

struct GatedDelta {
  int64_t layer = 0, conv_state = 0;  // numbers of the convolution's state, the delta rule's follow
  DeltaShape shape{};
  Linear in_proj_qkv, in_proj_z, in_proj_b, in_proj_a, out_proj;
  Convolution conv;
  std::string name;
  Weight dt_bias, A_log;  // F32 [H]
  RmsNorm norm;           // of each head, around zero

  static GatedDelta load(Loader& loader, const std::string& prefix, int64_t layer) {
    const ModelConfig& c = loader.config();
    const DeltaWidths& d = c.delta;
    const int64_t channels = c.conv_channels(layer);
    GatedDelta g;
    g.layer = layer, g.conv_state = (c.conv_kernel - 1) * channels;
    g.shape = {d.H, d.Hk, d.Dk, d.Dv, 1.0f / std::sqrt(static_cast<float>(d.Dk))};
    g.in_proj_qkv = load_linear(loader, prefix + ".in_proj_qkv", channels, c.D);
    g.in_proj_z = load_linear(loader, prefix + ".in_proj_z", d.values(), c.D);
    g.in_proj_b = load_linear(loader, prefix + ".in_proj_b", d.H, c.D);
    g.in_proj_a = load_linear(loader, prefix + ".in_proj_a", d.H, c.D);
    g.out_proj = load_linear(loader, prefix + ".out_proj", c.D, d.values());
    g.conv = load_convolution(loader, prefix + ".conv1d", channels);
    g.name = prefix;
    g.dt_bias = loader.vector(prefix + ".dt_bias", d.H);
    g.A_log = loader.vector(prefix + ".A_log", d.H);
    g.norm = load_norm(loader, prefix + ".norm", d.Dv);
    g.norm.around_one = false;
    return g;
  }

  Tensor forward(Pass& pass, const Tensor& x) const {
    constexpr float kEpsilon = 1e-6f;  // of the lengths of queries and keys
    Context& ctx = pass.ctx;
    const Input in = as_input(x);
    const auto states = pass.states(layer);
    const Tensor mixed = ops::activate(
        ctx, conv.forward(pass, in_proj_qkv.forward(pass, in), states), pass.config.activation);
    const int64_t keys = shape.Hk * shape.Dk, widths[] = {keys, keys, shape.H * shape.Dv};
    const auto parts = ops::split_columns(ctx, mixed, widths);
    const Tensor q = ops::l2_norm(ctx, parts[0], shape.Dk, kEpsilon);
    const Tensor k = ops::l2_norm(ctx, parts[1], shape.Dk, kEpsilon);
    const Tensor beta = ops::activate(ctx, in_proj_b.forward(pass, in), Activation::kSigmoid);
    const Tensor a =
        ops::linear(ctx, in, in_proj_a.weight, &dt_bias.tensor(), pass.lora_rows(in_proj_a.name));
    const Tensor g = ops::decay_gate(ctx, a, A_log.tensor());
    const Tensor out =
        ops::delta_rule(ctx, q, k, parts[2], g, beta, Pass::behind(states, conv_state), shape);
    const Tensor gate = in_proj_z.forward(pass, in), normed = norm.forward(pass, out);
    return out_proj.forward(pass, as_input(ops::glu(ctx, gate, normed, Activation::kSilu)));
  }
};

struct Qwen35Block {
  bool attends = false;
  RmsNorm attention_norm, mlp_norm;
  GatedAttention attention;  // one of the two
  GatedDelta delta;
  Mlp mlp;

  static Qwen35Block load(Loader& loader, const std::string& prefix, int64_t layer) {
    Qwen35Block block;
    block.attends = loader.config().attends(layer);
    block.attention_norm = load_norm(loader, prefix + ".input_layernorm");
    block.mlp_norm = load_norm(loader, prefix + ".post_attention_layernorm");
    if (block.attends)
      block.attention = GatedAttention::load(loader, prefix + ".self_attn", layer);
    else
      block.delta = GatedDelta::load(loader, prefix + ".linear_attn", layer);
    block.mlp = load_mlp(loader, prefix + ".mlp", layer);
    return block;
  }

  Tensor forward(Pass& pass, const Tensor& x) const {
    const Tensor in = attention_norm.forward(pass, x);
    const Tensor h =
        ops::add(pass.ctx, x, attends ? attention.forward(pass, in) : delta.forward(pass, in));
    return ops::add(pass.ctx, h, mlp.forward(pass, mlp_norm.forward(pass, h)));
  }

  std::vector<Linear*> linears() {
    std::vector<Linear*> all = {&delta.in_proj_qkv, &delta.in_proj_z, &delta.in_proj_b,
                                &delta.in_proj_a, &delta.out_proj};
    if (attends) all = {&attention.q_proj, &attention.k_proj, &attention.v_proj, &attention.o_proj};
    all.insert(all.end(), {&mlp.gate_proj, &mlp.up_proj, &mlp.down_proj});
    return all;
  }
  void norms(Parameters& out) {
    for (RmsNorm* norm :
         {&attention_norm, &mlp_norm, &attention.q_norm, &attention.k_norm, &delta.norm})
      norm->collect(out);
    if (attends) return;
    delta.conv.collect(out);
    out.emplace_back(delta.name + ".dt_bias", &delta.dt_bias);
    out.emplace_back(delta.name + ".A_log", &delta.A_log);
  }
};

}  // namespace

const Architecture kQwen35{"qwen3_5_text", "Qwen3_5ForCausalLM", "qwen35", fields, tensors};

Result<std::shared_ptr<Model>> load_qwen3_5(std::shared_ptr<ModelSource> source) {
  return Decoder<Qwen35Block>::load(std::move(source));
}

}  // namespace sllm
