// Ministral 3 (Mistral AI 2025): Mistral's block; queries far beyond the original context are
// lengthened with the logarithm of their position, as in Llama 4.
#include "models/architectures.h"
#include "models/decoder.h"

namespace sllm {
namespace {

void fields(ConfigFields& f, ModelConfig& c) {
  decoder_fields(f, c, {.norm_eps = 1e-5});
  rope_fields(f, c);
  window_field(f, c);
  // config.json keeps it among the rope_parameters.
  const nlohmann::json* rope = f.in() ? f.in()->find("rope_parameters") : nullptr;
  if (rope && rope->is_object() && rope->contains("llama_4_scaling_beta")) {
    const JsonFields inner(*rope, "rope_parameters");
    ConfigFields in = ConfigFields::read_hf(inner);
    in.number({"llama_4_scaling_beta", nullptr}, c.query_scale_beta, 0);
    if (!in.status().ok()) f.fail(in.status().error());
  }
  f.number({nullptr, "attention.temperature_scale"}, c.query_scale_beta, 0);
  if (f.out()) {
    nlohmann::ordered_json& parameters = (*f.out())["rope_parameters"];
    parameters = f.out()->value("rope_scaling", nlohmann::ordered_json::object());
    if (c.rope.type == "none") parameters["rope_type"] = "default";
    parameters["rope_theta"] = c.rope.theta;
    parameters["llama_4_scaling_beta"] = c.query_scale_beta;
    parameters["original_max_position_embeddings"] = c.rope.original_context;
    f.out()->erase("rope_scaling");
  }
}

constexpr BlockNames kNames{.permuted = true};

std::vector<TensorSpec> tensors(const ModelConfig& c) { return block_tensors(c, kNames); }

struct Ministral3Block : TransformerBlock {
  static Ministral3Block load(Loader& loader, const std::string& prefix, int64_t layer) {
    return {load_block(loader, prefix, layer, kNames)};
  }
};

}  // namespace

const Architecture kMinistral3{"ministral3", "Ministral3ForCausalLM", "mistral3", fields, tensors};

Result<std::shared_ptr<Model>> load_ministral3(std::shared_ptr<ModelSource> source) {
  return Decoder<Ministral3Block>::load(std::move(source));
}

}  // namespace sllm
