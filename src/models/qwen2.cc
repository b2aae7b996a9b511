// Qwen2 and Qwen2.5 (Yang et al. 2024): Llama's block with biases on q, k and v.
#include "models/architectures.h"
#include "models/decoder.h"

namespace sllm {
namespace {

void fields(ConfigFields& f, ModelConfig& c) {
  decoder_fields(f, c);
  rope_fields(f, c);
  upper_window_fields(f, c);
  c.qkv_bias = true;  // belongs to the architecture; no key says so
}

constexpr BlockNames kNames{};

std::vector<TensorSpec> tensors(const ModelConfig& c) { return block_tensors(c, kNames); }

struct Qwen2Block : TransformerBlock {
  static Qwen2Block load(Loader& loader, const std::string& prefix, int64_t layer) {
    return {load_block(loader, prefix, layer, kNames)};
  }
};

}  // namespace

const Architecture kQwen2{"qwen2", "Qwen2ForCausalLM", "qwen2", fields, tensors};

Result<std::shared_ptr<Model>> load_qwen2(std::shared_ptr<ModelSource> source) {
  return Decoder<Qwen2Block>::load(std::move(source));
}

}  // namespace sllm
