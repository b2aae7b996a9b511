// Gemma 3 (Kamath et al. 2025): Gemma 2 without soft-capping, with a norm on each head's query and
// key; five layers of six slide, with rotary positions of their own. EmbeddingGemma (Vera et al.
// 2025) is the same as an encoder: every token sees both sides.
#include <algorithm>

#include "models/architectures.h"
#include "models/decoder.h"
#include "models/gemma.h"

namespace sllm {
namespace {

// transformers 5 keeps one set of rope_parameters for each kind of layer; before, rope_theta and
// rope_scaling were those of full layers and rope_local_base_freq that of sliding ones.
void both_rope_fields(ConfigFields& f, ModelConfig& c) {
  if (f.reading()) c.rope.theta = 1e6f;
  if (!c.local_rope) c.local_rope = Rope{};
  f.number({"rope_local_base_freq", "rope.freq_base_swa"}, c.local_rope->theta, 1e4);
  const nlohmann::json* both = f.in() ? f.in()->find("rope_parameters") : nullptr;
  if (!both || !both->is_object() || !both->contains("full_attention")) return rope_fields(f, c);
  read_rope_object(f, (*both)["full_attention"], "rope_parameters.full_attention", c.rope);
  if (both->contains("sliding_attention"))
    read_rope_object(f, (*both)["sliding_attention"], "rope_parameters.sliding_attention",
                     *c.local_rope);
}

// An encoder's window counts both sides in config.json and in GGUF; ours is one side with the
// token.
void window_fields(ConfigFields& f, ModelConfig& c) {
  if (c.causal) return window_field(f, c);
  const int64_t side = c.sliding_window;
  if (!f.reading() && side > 0) c.sliding_window = std::max<int64_t>(2 * (side - 1), 1);
  window_field(f, c);
  if (!f.reading())
    c.sliding_window = side;
  else if (c.sliding_window > 0)
    c.sliding_window = c.sliding_window / 2 + 1;
}

void fields(ConfigFields& f, ModelConfig& c) {
  gemma_fields(f, c);
  both_rope_fields(f, c);
  f.number({"attn_logit_softcapping", "attn_logit_softcapping"}, c.attention_softcap, 0);
  f.number({"final_logit_softcapping", "final_logit_softcapping"}, c.logit_softcap, 0);
  if (f.out()) {  // null: none
    if (c.attention_softcap == 0) (*f.out())["attn_logit_softcapping"] = nullptr;
    if (c.logit_softcap == 0) (*f.out())["final_logit_softcapping"] = nullptr;
  }
  bool both_sides = !c.causal;
  f.flag({"use_bidirectional_attention", nullptr}, both_sides, false);
  if (f.in()) c.causal = !both_sides;
  window_fields(f, c);
  alternating_layer_fields(f, c, "sliding_window_pattern", 6);
}

void gemma3_fields(ConfigFields& f, ModelConfig& c) {
  fields(f, c);
  if (f.in() && !c.causal)
    f.fail(bad_input("use_bidirectional_attention needs the class Gemma3TextModel, an encoder"));
}

void embedding_gemma_fields(ConfigFields& f, ModelConfig& c) {
  if (f.gguf()) c.causal = false;
  fields(f, c);
}

constexpr BlockNames kNames = [] {
  BlockNames names = kGemmaNames;
  names.qk_norm = QkNorm::kHead;
  return names;
}();

std::vector<TensorSpec> tensors(const ModelConfig& c) { return block_tensors(c, kNames); }

struct Gemma3Block : TransformerBlock {
  static Gemma3Block load(Loader& loader, const std::string& prefix, int64_t layer) {
    return {load_block(loader, prefix, layer, kNames)};
  }
};

}  // namespace

const Architecture kGemma3{"gemma3_text", "Gemma3ForCausalLM", "gemma3", gemma3_fields, tensors};
const Architecture kEmbeddingGemma{"gemma3_text", "Gemma3TextModel", "gemma-embedding",
                                   embedding_gemma_fields, tensors};

Result<std::shared_ptr<Model>> load_gemma3(std::shared_ptr<ModelSource> source) {
  return Decoder<Gemma3Block>::load(std::move(source));
}

}  // namespace sllm
