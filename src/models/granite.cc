// Granite 3 and 4 dense (IBM 2024): Llama's block with four multipliers of maximal update
// parametrisation (Yang et al. 2022). The logits are divided by logits_scaling.
#include "models/architectures.h"
#include "models/decoder.h"

namespace sllm {
namespace {

void fields(ConfigFields& f, ModelConfig& c) {
  decoder_fields(f, c);
  rope_fields(f, c);
  attention_bias_fields(f, c);
  f.flag({"mlp_bias", nullptr}, c.mlp_bias, c.mlp_bias);
  f.number({"embedding_multiplier", "embedding_scale"}, c.embedding_scale, 1);
  f.number({"residual_multiplier", "residual_scale"}, c.residual_scale, 1);
  f.number({"attention_multiplier", "attention.scale"}, c.attention_scale, f.hf() ? 1 : 0);
  float divisor = 1 / c.logit_scale;
  const FieldKey logits{"logits_scaling", "logit_scale"};
  if (f.reading())
    f.number(logits, divisor, 1);
  else
    f.number(logits, divisor);  // llama.cpp wants it even when it is 1
  c.logit_scale = 1 / divisor;
}

constexpr BlockNames kNames{.permuted = true};

std::vector<TensorSpec> tensors(const ModelConfig& c) { return block_tensors(c, kNames); }

struct GraniteBlock : TransformerBlock {
  static GraniteBlock load(Loader& loader, const std::string& prefix, int64_t layer) {
    return {load_block(loader, prefix, layer, kNames)};
  }
};

}  // namespace

const Architecture kGranite{"granite", "GraniteForCausalLM", "granite", fields, tensors};

Result<std::shared_ptr<Model>> load_granite(std::shared_ptr<ModelSource> source) {
  return Decoder<GraniteBlock>::load(std::move(source));
}

}  // namespace sllm
