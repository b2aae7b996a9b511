// Gemma 2 (Riviere et al. 2024): norms before and behind each sublayer, soft-capped attention
// scores and logits, every other layer with a sliding window, a GELU-gated MLP.
#include "models/architectures.h"
#include "models/decoder.h"
#include "models/gemma.h"

namespace sllm {
namespace {

void fields(ConfigFields& f, ModelConfig& c) {
  gemma_fields(f, c);
  rope_fields(f, c);
  f.number({"attn_logit_softcapping", "attn_logit_softcapping"}, c.attention_softcap, 50);
  f.number({"final_logit_softcapping", "final_logit_softcapping"}, c.logit_softcap, 30);
  window_field(f, c);
  alternating_layer_fields(f, c, "sliding_window_pattern", 2);
}

constexpr BlockNames kNames = kGemmaNames;

std::vector<TensorSpec> tensors(const ModelConfig& c) { return block_tensors(c, kNames); }

struct Gemma2Block : TransformerBlock {
  static Gemma2Block load(Loader& loader, const std::string& prefix, int64_t layer) {
    return {load_block(loader, prefix, layer, kNames)};
  }
};

}  // namespace

const Architecture kGemma2{"gemma2", "Gemma2ForCausalLM", "gemma2", fields, tensors};

Result<std::shared_ptr<Model>> load_gemma2(std::shared_ptr<ModelSource> source) {
  return Decoder<Gemma2Block>::load(std::move(source));
}

}  // namespace sllm
