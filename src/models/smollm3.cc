// SmolLM3 (Hugging Face 2025): Llama's block; every fourth layer has no rotary positions (NoPE,
// Yang et al. 2025).
#include "models/architectures.h"
#include "models/decoder.h"

namespace sllm {
namespace {

std::vector<int64_t> every_fourth_stays(int64_t layers) {
  std::vector<int64_t> rotates;
  for (int64_t i = 0; i < layers; ++i) rotates.push_back((i + 1) % 4 != 0);
  return rotates;
}

// no_rope_layers holds a 1 for each layer that rotates, in spite of its name.
void nope_fields(ConfigFields& f, ModelConfig& c) {
  int64_t interval = 4;
  std::vector<int64_t> rotates;
  if (!f.reading())
    for (int64_t i = 0; i < c.L; ++i) rotates.push_back(c.rotates(i));
  f.integer({f.reading() ? "no_rope_layer_interval" : nullptr, nullptr}, interval, 4);
  f.integers({"no_rope_layers", nullptr}, rotates);
  if (!f.reading() && f.gguf() && rotates != every_fourth_stays(c.L))
    return f.fail(with_hint(
        bad_input(
            "no_rope_layers is not 1, 1, 1, 0 repeated: GGUF has no word for it, and llama.cpp "
            "takes every fourth layer not to rotate"),
        "Use the folder as it is"));
  if (!f.reading() || !f.status().ok()) return;
  if (interval < 1) return f.fail(bad_input("no_rope_layer_interval is {}", interval));
  if (!rotates.empty() && std::ssize(rotates) < c.L)
    return f.fail(bad_input("no_rope_layers has {} entries for {} layers", rotates.size(), c.L));
  c.rotated.clear();
  for (int64_t i = 0; i < c.L; ++i)
    c.rotated.push_back(rotates.empty() ? (i + 1) % interval != 0
                                        : rotates[static_cast<size_t>(i)] != 0);
}

void fields(ConfigFields& f, ModelConfig& c) {
  decoder_fields(f, c, {.tied = true});
  if (f.reading()) c.rope.theta = 2e6f;
  rope_fields(f, c);
  attention_bias_fields(f, c);
  f.flag({"mlp_bias", nullptr}, c.mlp_bias, c.mlp_bias);
  nope_fields(f, c);
}

constexpr BlockNames kNames{.permuted = true};

std::vector<TensorSpec> tensors(const ModelConfig& c) { return block_tensors(c, kNames); }

struct SmolLm3Block : TransformerBlock {
  static SmolLm3Block load(Loader& loader, const std::string& prefix, int64_t layer) {
    return {load_block(loader, prefix, layer, kNames)};
  }
};

}  // namespace

const Architecture kSmolLm3{"smollm3", "SmolLM3ForCausalLM", "smollm3", fields, tensors};

Result<std::shared_ptr<Model>> load_smollm3(std::shared_ptr<ModelSource> source) {
  return Decoder<SmolLm3Block>::load(std::move(source));
}

}  // namespace sllm
