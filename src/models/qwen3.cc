// Qwen3 (Yang et al. 2025): Llama's block with a norm on each head's query and key.
#include "models/architectures.h"
#include "models/decoder.h"

namespace sllm {
namespace {

void fields(ConfigFields& f, ModelConfig& c) {
  decoder_fields(f, c);
  rope_fields(f, c);
  attention_bias_fields(f, c);
  upper_window_fields(f, c);
}

constexpr BlockNames kNames{.qk_norm = QkNorm::kHead};

std::vector<TensorSpec> tensors(const ModelConfig& c) { return block_tensors(c, kNames); }

struct Qwen3Block : TransformerBlock {
  static Qwen3Block load(Loader& loader, const std::string& prefix, int64_t layer) {
    return {load_block(loader, prefix, layer, kNames)};
  }
};

}  // namespace

const Architecture kQwen3{"qwen3", "Qwen3ForCausalLM", "qwen3", fields, tensors};

Result<std::shared_ptr<Model>> load_qwen3(std::shared_ptr<ModelSource> source) {
  return Decoder<Qwen3Block>::load(std::move(source));
}

}  // namespace sllm
