// Llama (Touvron et al. 2023) and what shares its shape: SmolLM2, TinyLlama, and Mistral (Jiang et
// al. 2023), which adds a sliding window that the attention's shape carries.
#include "models/architectures.h"
#include "models/decoder.h"

namespace sllm {
namespace {

struct LlamaBlock : PreNormBlock {
  static LlamaBlock load(Loader& loader, const std::string& prefix, int64_t layer) {
    const ModelConfig& c = loader.config();
    return {load_pre_norm_block(loader, prefix, layer, {.qkv = c.qkv_bias, .o = c.o_bias})};
  }
};

}  // namespace

Result<std::shared_ptr<Model>> load_llama(std::shared_ptr<ModelSource> source) {
  return Decoder<LlamaBlock>::load(std::move(source));
}

}  // namespace sllm
