// Gemma 4 (Google DeepMind 2026), dense text models. Full layers have wider heads than sliding
// ones, and their rotary positions turn only a share of them; values are normalised too; the last
// layers read the keys and values of earlier ones. In the small models (E2B, E4B) every layer also
// gets an input of its own, made from the token and the embedded row:
//   p = (norm(x W / sqrt(D)) + sqrt(P) E[token]) / sqrt(2)       [L, P]
//   h = ... as Gemma 3's block ...;   y = s (h + norm((f(h G) * p_layer) U))
#include <cmath>

#include "models/architectures.h"
#include "models/decoder.h"
#include "models/gemma4.h"

namespace sllm {
namespace {

std::vector<TensorSpec> tensors(const ModelConfig& c) {
  TensorList list;
  model_tensors(list, c);
  const int64_t P = c.layer_input;
  if (P > 0) {
    list.add("model.embed_tokens_per_layer.weight", "per_layer_token_embd.weight",
             {gemma4_layer_vocab(c), c.L * P});
    list.linear("model.per_layer_model_projection", "per_layer_model_proj", c.L * P, c.D);
    list.add("model.per_layer_projection_norm.weight", "per_layer_proj_norm.weight", {P});
  }
  for (int64_t i = 0; i < c.L; ++i) {
    const std::string hf = hf_layer(i) + ".", gguf = gguf_layer(i) + ".",
                      attention = hf + "self_attn.";
    const int64_t q = c.H * c.head_width(i), kv = c.kv_heads(i) * c.head_width(i);
    layer_norm_tensor(list, i, "input_layernorm", "attn_norm", c.D);
    list.linear(attention + "q_proj", gguf + "attn_q", q, c.D, c.qkv_bias);
    layer_norm_tensor(list, i, "self_attn.q_norm", "attn_q_norm", c.head_width(i));
    if (c.has_kv(i)) {
      list.linear(attention + "k_proj", gguf + "attn_k", kv, c.D, c.qkv_bias);
      if (gemma4_has_values(c, i))
        list.linear(attention + "v_proj", gguf + "attn_v", kv, c.D, c.qkv_bias);
      layer_norm_tensor(list, i, "self_attn.k_norm", "attn_k_norm", c.head_width(i));
    } else {
      list.unread(attention + "k_proj", gguf + "attn_k");
      list.unread(attention + "v_proj", gguf + "attn_v");
      list.unread(attention + "k_norm", gguf + "attn_k_norm");
    }
    list.linear(attention + "o_proj", gguf + "attn_output", c.D, q, c.o_bias);
    layer_norm_tensor(list, i, "post_attention_layernorm", "post_attention_norm", c.D);
    layer_norm_tensor(list, i, "pre_feedforward_layernorm", "ffn_norm", c.D);
    mlp_tensors(list, c, i);
    layer_norm_tensor(list, i, "post_feedforward_layernorm", "post_ffw_norm", c.D);
    if (P > 0) {
      list.linear(hf + "per_layer_input_gate", gguf + "inp_gate", P, c.D);
      list.linear(hf + "per_layer_projection", gguf + "proj", c.D, P);
      layer_norm_tensor(list, i, "post_per_layer_input_norm", "post_norm", c.D);
    }
    list.add(hf + "layer_scalar", gguf + "layer_output_scale.weight", {1});
  }
  return list.take();
}

// The p above.
struct Gemma4LayerInputs {
  Weight table;
  Linear projection;
  RmsNorm norm;

  static Gemma4LayerInputs load(Loader& loader) {
    const ModelConfig& c = loader.config();
    const int64_t P = c.layer_input;
    if (P == 0) return {};
    return {
        loader.matrix("model.embed_tokens_per_layer.weight", gemma4_layer_vocab(c), c.L * P),
        load_linear(loader, "model.per_layer_model_projection", c.L * P, c.D),
        load_norm(loader, "model.per_layer_projection_norm", P),
    };
  }

  void forward(Pass& pass, const Tensor& x) const {
    if (!table.defined()) return;
    Context& ctx = pass.ctx;
    const auto P = static_cast<float>(pass.config.layer_input);
    const Tensor projected = projection.forward(pass, as_input(x));
    const Tensor of_row =
        norm.forward(pass, ops::scale(ctx, projected, 1 / std::sqrt(static_cast<float>(x.cols()))));
    const Tensor of_token =
        ops::scale(ctx, ops::embed(ctx, table, pass.batch.tokens), std::sqrt(P));
    const Tensor both = ops::scale(ctx, ops::add(ctx, of_row, of_token), std::sqrt(0.5f));
    const std::vector<int64_t> widths(static_cast<size_t>(pass.config.L), pass.config.layer_input);
    pass.layer_inputs = ops::split_columns(ctx, both, widths);
  }

  std::vector<Linear*> linears() {
    return table.defined() ? std::vector{&projection} : std::vector<Linear*>{};
  }
  void collect(Parameters& out) {
    if (!table.defined()) return;
    out.emplace_back("model.embed_tokens_per_layer.weight", &table);
    projection.collect(out);
    norm.collect(out);
  }
};

struct Gemma4Block {
  using LayerInputs = Gemma4LayerInputs;
  Attention attention;  // k_proj and v_proj are nameless where the layer has none
  RmsNorm attention_norm, attention_post_norm, mlp_norm, mlp_post_norm, input_norm;
  Mlp mlp;
  Linear input_gate, input_projection;
  float output_scale = 1;  // layer_scalar, which is not trained

  static Gemma4Block load(Loader& loader, const std::string& prefix, int64_t layer) {
    const ModelConfig& c = loader.config();
    const auto norm = [&](const char* name, int64_t width) {
      return load_norm(loader, prefix + "." + name, width);
    };
    Gemma4Block block;
    Attention& a = block.attention;
    a.layer = layer, a.shape = attention_shape(c, layer);
    const int64_t Dh = a.shape.Dh, kv = a.shape.Hk * Dh;
    const auto linear = [&](const char* name, int64_t out, int64_t in, bool bias = false) {
      return load_linear(loader, prefix + "." + name, out, in, bias);
    };
    a.q_proj = linear("self_attn.q_proj", c.H * Dh, c.D, c.qkv_bias);
    a.q_norm = norm("self_attn.q_norm", Dh);
    if (c.has_kv(layer)) {
      a.k_proj = linear("self_attn.k_proj", kv, c.D, c.qkv_bias);
      if (gemma4_has_values(c, layer)) a.v_proj = linear("self_attn.v_proj", kv, c.D, c.qkv_bias);
      a.k_norm = norm("self_attn.k_norm", Dh);
    }
    a.o_proj = linear("self_attn.o_proj", c.D, c.H * Dh, c.o_bias);
    block.attention_norm = norm("input_layernorm", c.D);
    block.attention_post_norm = norm("post_attention_layernorm", c.D);
    block.mlp_norm = norm("pre_feedforward_layernorm", c.D);
    block.mlp_post_norm = norm("post_feedforward_layernorm", c.D);
    block.mlp = load_mlp(loader, prefix + ".mlp", layer);
    if (c.layer_input > 0) {
      block.input_gate = linear("per_layer_input_gate", c.layer_input, c.D);
      block.input_projection = linear("per_layer_projection", c.D, c.layer_input);
      block.input_norm = norm("post_per_layer_input_norm", c.D);
    }
    const Weight scale = loader.values(prefix + ".layer_scalar", {1});
    if (scale.defined()) block.output_scale = scale.tensor().data<float>()[0];
    return block;
  }

  Tensor attend(Pass& pass, const Tensor& x) const {
    const Attention& a = attention;
    const Input in = as_input(x);
    const Tensor q = a.q_norm.forward(pass, a.q_proj.forward(pass, in));
    Tensor k, v;
    if (!a.k_proj.name.empty()) {
      const Tensor keys = a.k_proj.forward(pass, in);
      v = ops::rms_norm(pass.ctx, a.v_proj.name.empty() ? keys : a.v_proj.forward(pass, in),
                        a.shape.Dh, pass.config.norm_eps);
      k = a.k_norm.forward(pass, keys);
    }
    return a.o_proj.forward(pass, as_input(a.mix(pass, q, k, v)));
  }

  Tensor forward(Pass& pass, const Tensor& x) const {
    Context& ctx = pass.ctx;
    const Tensor a = attend(pass, attention_norm.forward(pass, x));
    Tensor h = ops::add(ctx, x, attention_post_norm.forward(pass, a));
    const Tensor m = mlp.forward(pass, mlp_norm.forward(pass, h));
    h = ops::add(ctx, h, mlp_post_norm.forward(pass, m));
    if (!pass.layer_inputs.empty()) {
      const Tensor& input = pass.layer_inputs[static_cast<size_t>(attention.layer)];
      const Tensor gate = input_gate.forward(pass, as_input(h));
      const Tensor gated = ops::glu(ctx, gate, input, pass.config.activation);
      const Tensor more = input_projection.forward(pass, as_input(gated));
      h = ops::add(ctx, h, input_norm.forward(pass, more));
    }
    return output_scale == 1 ? h : ops::scale(ctx, h, output_scale);
  }

  std::vector<Linear*> linears() {
    std::vector<Linear*> all;
    for (Linear* l : {&attention.q_proj, &attention.k_proj, &attention.v_proj, &attention.o_proj,
                      &mlp.gate_proj, &mlp.up_proj, &mlp.down_proj, &input_gate, &input_projection})
      if (!l->name.empty()) all.push_back(l);
    return all;
  }
  void norms(Parameters& out) {
    for (RmsNorm* norm : {&attention_norm, &attention.q_norm, &attention.k_norm,
                          &attention_post_norm, &mlp_norm, &mlp_post_norm, &input_norm})
      norm->collect(out);
  }
};

}  // namespace

const Architecture kGemma4{"gemma4_text", "Gemma4ForCausalLM", "gemma4", gemma4_fields, tensors};

Result<std::shared_ptr<Model>> load_gemma4(std::shared_ptr<ModelSource> source) {
  return Decoder<Gemma4Block>::load(std::move(source));
}

}  // namespace sllm
