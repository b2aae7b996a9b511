// Qwen2 and Qwen2.5 (Yang et al. 2024): Llama's block with biases on q, k and v.
#include "models/architectures.h"
#include "models/decoder.h"

namespace sllm {
namespace {

struct Qwen2Block : PreNormBlock {
  // The biases belong to the architecture; no configuration key says so.
  static Qwen2Block load(Loader& loader, const std::string& prefix, int64_t layer) {
    return {load_pre_norm_block(loader, prefix, layer, {.qkv = true, .o = false})};
  }
};

}  // namespace

Result<std::shared_ptr<Model>> load_qwen2(std::shared_ptr<ModelSource> source) {
  return Decoder<Qwen2Block>::load(std::move(source));
}

}  // namespace sllm
