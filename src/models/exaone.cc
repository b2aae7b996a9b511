// EXAONE 3.x (LG AI Research 2024): Llama's block under names of its own; transformers knows it by
// its own code only, llama.cpp as "exaone".
#include "models/architectures.h"
#include "models/decoder.h"

namespace sllm {
namespace {

void fields(ConfigFields& f, ModelConfig& c) {
  decoder_fields(f, c,
                 {.norm_eps = 1e-5,
                  .activation_key = "activation_function",
                  .layers_key = "num_layers",
                  .epsilon = {"layer_norm_epsilon", "attention.layer_norm_rms_epsilon"}});
  rope_fields(f, c);
}

const DecoderNames kPlaces{"transformer.wte", "transformer.h", "transformer.ln_f", "lm_head"};

std::vector<TensorSpec> tensors(const ModelConfig& c) {
  TensorList list;
  model_tensors(list, c, kPlaces);
  for (int64_t i = 0; i < c.L; ++i) {
    const std::string hf = kPlaces.layer(i) + ".", gguf = gguf_layer(i) + ".";
    const std::string attention = hf + "attn.attention.";
    list.add(hf + "ln_1.weight", gguf + "attn_norm.weight", {c.D});
    list.linear(attention + "q_proj", gguf + "attn_q", c.H * c.Dh, c.D);
    list.linear(attention + "k_proj", gguf + "attn_k", c.Hk * c.Dh, c.D);
    list.linear(attention + "v_proj", gguf + "attn_v", c.Hk * c.Dh, c.D);
    list.linear(attention + "out_proj", gguf + "attn_output", c.D, c.H * c.Dh);
    list.add(hf + "ln_2.weight", gguf + "ffn_norm.weight", {c.D});
    list.linear(hf + "mlp.c_fc_0", gguf + "ffn_gate", c.F, c.D);
    list.linear(hf + "mlp.c_fc_1", gguf + "ffn_up", c.F, c.D);
    list.linear(hf + "mlp.c_proj", gguf + "ffn_down", c.D, c.F);
  }
  return list.take();
}

struct ExaoneBlock : TransformerBlock {
  static DecoderNames names() { return kPlaces; }

  static ExaoneBlock load(Loader& loader, const std::string& prefix, int64_t layer) {
    const ModelConfig& c = loader.config();
    const auto linear = [&](const char* name, int64_t out, int64_t in) {
      return load_linear(loader, prefix + name, out, in);
    };
    ExaoneBlock block;
    block.attention_norm = load_norm(loader, prefix + ".ln_1");
    block.mlp_norm = load_norm(loader, prefix + ".ln_2");
    block.attention = {layer,
                       attention_shape(c, layer),
                       c.rotates(layer),
                       linear(".attn.attention.q_proj", c.H * c.Dh, c.D),
                       linear(".attn.attention.k_proj", c.Hk * c.Dh, c.D),
                       linear(".attn.attention.v_proj", c.Hk * c.Dh, c.D),
                       linear(".attn.attention.out_proj", c.D, c.H * c.Dh)};
    block.mlp = {linear(".mlp.c_fc_0", c.F, c.D), linear(".mlp.c_fc_1", c.F, c.D),
                 linear(".mlp.c_proj", c.D, c.F), c.activation};
    return block;
  }
};

}  // namespace

const Architecture kExaone{"exaone", "ExaoneForCausalLM", "exaone", fields, tensors};

Result<std::shared_ptr<Model>> load_exaone(std::shared_ptr<ModelSource> source) {
  return Decoder<ExaoneBlock>::load(std::move(source));
}

}  // namespace sllm
