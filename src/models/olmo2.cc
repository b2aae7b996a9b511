// OLMo 2 (OLMo team 2025): norms behind the sublayers, and on the whole rows of queries and keys.
#include "models/architectures.h"
#include "models/decoder.h"

namespace sllm {
namespace {

void fields(ConfigFields& f, ModelConfig& c) {
  decoder_fields(f, c, {.norm_eps = 1e-5});
  rope_fields(f, c);
  attention_bias_fields(f, c);
}

constexpr BlockNames kNames{.attention_norm = nullptr,
                            .attention_post_norm = "post_attention_layernorm",
                            .mlp_norm = nullptr,
                            .mlp_post_norm = "post_feedforward_layernorm",
                            .qk_norm = QkNorm::kRow};

std::vector<TensorSpec> tensors(const ModelConfig& c) { return block_tensors(c, kNames); }

struct Olmo2Block : TransformerBlock {
  static Olmo2Block load(Loader& loader, const std::string& prefix, int64_t layer) {
    return {load_block(loader, prefix, layer, kNames)};
  }
};

}  // namespace

const Architecture kOlmo2{"olmo2", "Olmo2ForCausalLM", "olmo2", fields, tensors};

Result<std::shared_ptr<Model>> load_olmo2(std::shared_ptr<ModelSource> source) {
  return Decoder<Olmo2Block>::load(std::move(source));
}

}  // namespace sllm
