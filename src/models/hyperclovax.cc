// HyperCLOVA X SEED Think (NAVER 2025): Llama's block with a second norm behind each sublayer and
// the multipliers of maximal update parametrisation; the logits are multiplied by logits_scaling.
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
  const float plain = 1 / std::sqrt(static_cast<float>(c.Dh));
  if (!f.reading() && c.attention_scale == 0) c.attention_scale = plain;
  f.number({"attention_multiplier", "attention.scale"}, c.attention_scale, plain);
  f.number({"logits_scaling", "logit_scale"}, c.logit_scale, 1);
  f.flag({"use_post_norm", "use_post_norm"}, c.post_norms, true);
}

constexpr BlockNames kPlain{};
constexpr BlockNames kPeri{.attention_post_norm = "post_norm1", .mlp_post_norm = "post_norm2"};
const BlockNames& names(const ModelConfig& c) { return c.post_norms ? kPeri : kPlain; }

std::vector<TensorSpec> tensors(const ModelConfig& c) { return block_tensors(c, names(c)); }

struct HyperClovaXBlock : TransformerBlock {
  static HyperClovaXBlock load(Loader& loader, const std::string& prefix, int64_t layer) {
    return {load_block(loader, prefix, layer, names(loader.config()))};
  }
};

}  // namespace

const Architecture kHyperClovaX{"hyperclovax", "HyperCLOVAXForCausalLM", "hyperclovax", fields,
                                tensors};

Result<std::shared_ptr<Model>> load_hyperclovax(std::shared_ptr<ModelSource> source) {
  return Decoder<HyperClovaXBlock>::load(std::move(source));
}

}  // namespace sllm
