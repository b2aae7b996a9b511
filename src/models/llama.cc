// Llama (Touvron et al. 2023) and what shares its shape: SmolLM2, TinyLlama, and Mistral (Jiang et
// al. 2023), which adds a sliding window.
#include "models/architectures.h"
#include "models/decoder.h"

namespace sllm {
namespace {

void llama_fields(ConfigFields& f, ModelConfig& c) {
  decoder_fields(f, c);
  rope_fields(f, c);
  attention_bias_fields(f, c);
  f.flag({"mlp_bias", nullptr}, c.mlp_bias, c.mlp_bias);
}

void mistral_fields(ConfigFields& f, ModelConfig& c) {
  decoder_fields(f, c);
  rope_fields(f, c);
  window_field(f, c);
}

constexpr BlockNames kNames{.permuted = true};

std::vector<TensorSpec> tensors(const ModelConfig& c) { return block_tensors(c, kNames); }

struct LlamaBlock : TransformerBlock {
  static LlamaBlock load(Loader& loader, const std::string& prefix, int64_t layer) {
    return {load_block(loader, prefix, layer, kNames)};
  }
};

}  // namespace

const Architecture kLlama{"llama", "LlamaForCausalLM", "llama", llama_fields, tensors};
const Architecture kMistral{"mistral", "MistralForCausalLM", "llama", mistral_fields, tensors};

Result<std::shared_ptr<Model>> load_llama(std::shared_ptr<ModelSource> source) {
  return Decoder<LlamaBlock>::load(std::move(source));
}

}  // namespace sllm
