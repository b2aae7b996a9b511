// EXAONE 4.0 (LG AI Research 2025): norms behind the sublayers and on each head's query and key. In
// models with a sliding window, three layers of four slide and rotate; the others do neither.
#include "models/architectures.h"
#include "models/decoder.h"

namespace sllm {
namespace {

void fields(ConfigFields& f, ModelConfig& c) {
  decoder_fields(f, c, {.norm_eps = 1e-5});
  rope_fields(f, c);
  window_field(f, c);
  if (c.sliding_window > 0) {
    alternating_layer_fields(f, c, "sliding_window_pattern", 4);
  } else {
    c.kinds.clear();
    // transformers fails without layer_types when there is no window.
    if (f.out()) hybrid_layer_fields(f, c, LayerKind::kSliding);
  }
  if (!f.reading()) return;
  c.rotated.clear();
  for (int64_t i = 0; c.sliding_window > 0 && i < c.L; ++i)
    c.rotated.push_back(c.kind(i) == LayerKind::kSliding);
}

constexpr BlockNames kNames{.attention_norm = nullptr,
                            .attention_post_norm = "post_attention_layernorm",
                            .mlp_norm = nullptr,
                            .mlp_post_norm = "post_feedforward_layernorm",
                            .qk_norm = QkNorm::kHead};

std::vector<TensorSpec> tensors(const ModelConfig& c) { return block_tensors(c, kNames); }

struct Exaone4Block : TransformerBlock {
  static Exaone4Block load(Loader& loader, const std::string& prefix, int64_t layer) {
    return {load_block(loader, prefix, layer, kNames)};
  }
};

}  // namespace

const Architecture kExaone4{"exaone4", "Exaone4ForCausalLM", "exaone4", fields, tensors};

Result<std::shared_ptr<Model>> load_exaone4(std::shared_ptr<ModelSource> source) {
  return Decoder<Exaone4Block>::load(std::move(source));
}

}  // namespace sllm
