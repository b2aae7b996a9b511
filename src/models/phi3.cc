// Phi-3 and Phi-4-mini (Abdin et al. 2024): Llama's block with q, k and v in one matrix, gate and
// up in another, and longrope for long contexts.
#include "io/gguf_rope.h"
#include "models/architectures.h"
#include "models/decoder.h"

namespace sllm {
namespace {

void fields(ConfigFields& f, ModelConfig& c) {
  decoder_fields(f, c, {.norm_eps = 1e-5});
  rope_fields(f, c);
  if (f.reading()) {
    if (c.rope.original_context == 0) c.rope.original_context = c.max_context;
    return window_field(f, c);
  }
  f.integer({"original_max_position_embeddings", nullptr}, c.rope.original_context);
  f.integer({"sliding_window", "attention.sliding_window"}, c.sliding_window);  // 0 too: llama.cpp
  if (f.out() && c.sliding_window == 0) (*f.out())["sliding_window"] = nullptr;
}

std::vector<TensorSpec> tensors(const ModelConfig& c) {
  TensorList list;
  model_tensors(list, c);
  for (int64_t i = 0; i < c.L; ++i) {
    const std::string hf = hf_layer(i) + ".", gguf = gguf_layer(i) + ".";
    layer_norm_tensor(list, i, "input_layernorm", "attn_norm", c.D);
    list.linear(hf + "self_attn.qkv_proj", gguf + "attn_qkv", (c.H + 2 * c.Hk) * c.Dh, c.D);
    list.linear(hf + "self_attn.o_proj", gguf + "attn_output", c.D, c.H * c.Dh);
    layer_norm_tensor(list, i, "post_attention_layernorm", "ffn_norm", c.D);
    list.linear(hf + "mlp.gate_up_proj", gguf + "ffn_up", 2 * c.F, c.D);
    list.linear(hf + "mlp.down_proj", gguf + "ffn_down", c.D, c.F);
  }
  return list.take();
}

struct Phi3Block {
  RmsNorm attention_norm, mlp_norm;
  Attention attention;  // its mix() alone
  Linear qkv_proj, o_proj, gate_up_proj, down_proj;

  static Phi3Block load(Loader& loader, const std::string& prefix, int64_t layer) {
    const ModelConfig& c = loader.config();
    const auto linear = [&](const char* name, int64_t out, int64_t in) {
      return load_linear(loader, prefix + name, out, in);
    };
    return {load_norm(loader, prefix + ".input_layernorm"),
            load_norm(loader, prefix + ".post_attention_layernorm"),
            {layer, attention_shape(c, layer), c.rotates(layer)},
            linear(".self_attn.qkv_proj", (c.H + 2 * c.Hk) * c.Dh, c.D),
            linear(".self_attn.o_proj", c.D, c.H * c.Dh),
            linear(".mlp.gate_up_proj", 2 * c.F, c.D),
            linear(".mlp.down_proj", c.D, c.F)};
  }

  Tensor attend(Pass& pass, const Tensor& x) const {
    const AttentionShape& s = attention.shape;
    const int64_t widths[] = {s.H * s.Dh, s.Hk * s.Dh, s.Hk * s.Dh};
    const auto qkv = ops::split_columns(pass.ctx, qkv_proj.forward(pass, as_input(x)), widths);
    return o_proj.forward(pass, as_input(attention.mix(pass, qkv[0], qkv[1], qkv[2])));
  }

  Tensor feed_forward(Pass& pass, const Tensor& x) const {
    const int64_t widths[] = {pass.config.F, pass.config.F};
    const auto both = ops::split_columns(pass.ctx, gate_up_proj.forward(pass, as_input(x)), widths);
    return down_proj.forward(
        pass, as_input(ops::glu(pass.ctx, both[0], both[1], pass.config.activation)));
  }

  Tensor forward(Pass& pass, const Tensor& x) const {
    const Tensor h = ops::add(pass.ctx, x, attend(pass, attention_norm.forward(pass, x)));
    return ops::add(pass.ctx, h, feed_forward(pass, mlp_norm.forward(pass, h)));
  }

  std::vector<Linear*> linears() { return {&qkv_proj, &o_proj, &gate_up_proj, &down_proj}; }
  void norms(Parameters& out) {
    attention_norm.collect(out);
    mlp_norm.collect(out);
  }
};

}  // namespace

const Architecture kPhi3{"phi3", "Phi3ForCausalLM", "phi3", fields, tensors};

Result<std::shared_ptr<Model>> load_phi3(std::shared_ptr<ModelSource> source) {
  return Decoder<Phi3Block>::load(std::move(source));
}

}  // namespace sllm
