#include "io/hf_config.h"

#include <algorithm>

#include "io/json.h"

namespace sllm {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

// eos_token_id: a number or an array of numbers.
Status add_eos(const JsonFields& fields, std::vector<int32_t>& ids) {
  const json* value = fields.find("eos_token_id");
  if (!value) return ok();
  const json list = value->is_array() ? *value : json::array({*value});
  for (const json& id : list) {
    if (!id.is_number_integer() || id < 0 || id > INT32_MAX)
      return fields.wrong_type("eos_token_id", "a token id or an array of them");
    if (std::ranges::find(ids, id.get<int32_t>()) == ids.end()) ids.push_back(id.get<int32_t>());
  }
  return ok();
}

// transformers 5 keeps theta and scaling in rope_parameters, transformers 4 in rope_theta and
// rope_scaling (whose type was called "type" before it was "rope_type").
Status read_rope(const JsonFields& fields, ModelConfig& c) {
  SLLM_TRY(const auto theta, fields.number("rope_theta"));
  if (theta) c.rope_theta = static_cast<float>(*theta);
  SLLM_TRY(const auto partial, fields.number("partial_rotary_factor"));
  if (partial && *partial != 1)
    return bad_input("{}: partial_rotary_factor {} is not supported", fields.file(), *partial);
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const json* object = fields.find(key);
    if (!object) continue;
    if (!object->is_object()) return fields.wrong_type(key, "an object");
    const JsonFields rope(*object, fmt::format("{}: {}", fields.file(), key));
    SLLM_TRY(const auto old_type, rope.string("type"));
    SLLM_TRY(const auto type, rope.string("rope_type"));
    SLLM_TRY(const auto own_theta, rope.number("rope_theta"));
    SLLM_TRY(const auto factor, rope.number("factor"));
    SLLM_TRY(const auto low, rope.number("low_freq_factor"));
    SLLM_TRY(const auto high, rope.number("high_freq_factor"));
    SLLM_TRY(const auto original, rope.integer("original_max_position_embeddings"));
    if (own_theta) c.rope_theta = static_cast<float>(*own_theta);
    const std::string name = type ? *type : old_type.value_or("default");
    if (name == "default") continue;
    RopeScaling& r = c.rope_scaling;
    r.type = name;
    r.factor = static_cast<float>(factor.value_or(1));
    r.low_freq_factor = static_cast<float>(low.value_or(1));
    r.high_freq_factor = static_cast<float>(high.value_or(4));
    r.original_context = original.value_or(8192);
  }
  return ok();
}

// One window for all layers or none: layers of both kinds in one model are refused.
Status read_window(const JsonFields& fields, ModelConfig& c) {
  SLLM_TRY(const auto window, fields.integer("sliding_window"));
  SLLM_TRY(const auto use, fields.boolean("use_sliding_window"));
  SLLM_TRY(const auto full_layers, fields.integer("max_window_layers"));
  if (!window) return ok();
  if (c.architecture == "qwen2" && (!use.value_or(false) || full_layers.value_or(28) >= c.L))
    return ok();
  if (c.architecture == "qwen2" && full_layers.value_or(28) > 0)
    return bad_input("{}: layers with and without a sliding window are not supported",
                     fields.file());
  if (c.architecture == "llama") return ok();  // Llama has no window; the key is a leftover
  c.sliding_window = *window;
  return ok();
}

Status read_sizes(const JsonFields& fields, ModelConfig& c) {
  SLLM_TRY(c.D, fields.need_integer("hidden_size"));
  SLLM_TRY(c.L, fields.need_integer("num_hidden_layers"));
  SLLM_TRY(c.H, fields.need_integer("num_attention_heads"));
  SLLM_TRY(c.F, fields.need_integer("intermediate_size"));
  SLLM_TRY(c.V, fields.need_integer("vocab_size"));
  SLLM_TRY(c.max_context, fields.need_integer("max_position_embeddings"));
  SLLM_TRY(const auto kv_heads, fields.integer("num_key_value_heads"));
  c.Hk = kv_heads.value_or(c.H);
  SLLM_TRY(const auto head, fields.integer("head_dim"));
  if (!head && c.H > 0 && c.D % c.H != 0)
    return bad_input("{}: hidden_size {} is not a multiple of num_attention_heads {}",
                     fields.file(), c.D, c.H);
  c.Dh = head.value_or(c.H > 0 ? c.D / c.H : 0);
  SLLM_TRY(const auto epsilon, fields.number("rms_norm_eps"));
  c.norm_eps = static_cast<float>(epsilon.value_or(1e-6));  // transformers' default
  return ok();
}

Status read_switches(const JsonFields& fields, ModelConfig& c) {
  SLLM_TRY(const auto activation, fields.string("hidden_act"));
  if (activation.value_or("silu") != "silu" && *activation != "swish")
    return bad_input("{}: hidden_act \"{}\" is not supported (silu is)", fields.file(),
                     *activation);
  SLLM_TRY(const auto tied, fields.boolean("tie_word_embeddings"));
  c.tied_embeddings = tied.value_or(false);
  SLLM_TRY(const auto attention_bias, fields.boolean("attention_bias"));
  SLLM_TRY(const auto mlp_bias, fields.boolean("mlp_bias"));
  const bool llama = c.architecture == "llama";
  c.qkv_bias = c.architecture == "qwen2" || (llama && attention_bias.value_or(false));
  c.o_bias = llama && attention_bias.value_or(false);
  c.mlp_bias = llama && mlp_bias.value_or(false);
  return ok();
}

}  // namespace

Result<ModelConfig> parse_hf_config(std::string_view config, std::string_view generation_config,
                                    const std::string& file) {
  SLLM_TRY(const json root, parse_json(config, file));
  if (!root.is_object()) return bad_input("{}: is not a JSON object", file);
  const JsonFields fields(root, file);
  ModelConfig c;
  SLLM_TRY(const auto type, fields.string("model_type"));
  if (!type) return bad_input("{}: \"model_type\" is missing", file);
  if (*type != "llama" && *type != "mistral" && *type != "qwen2")
    return bad_input("{}: model_type \"{}\" is not supported (llama, mistral and qwen2 are)", file,
                     *type);
  c.architecture = *type;
  if (fields.has("quantization_config"))
    return with_hint(bad_input("{}: quantised Hugging Face checkpoints are not supported", file),
                     "Use the original checkpoint or a GGUF file");
  SLLM_TRY(const auto name, fields.string("_name_or_path"));
  c.name = name.value_or("");
  SLLM_OK(read_sizes(fields, c));
  SLLM_OK(read_switches(fields, c));
  SLLM_OK(read_rope(fields, c));
  SLLM_OK(read_window(fields, c));
  const json* bos = fields.find("bos_token_id");
  if (bos && bos->is_number_integer() && *bos >= 0 && *bos < c.V) c.bos_id = bos->get<int32_t>();
  if (bos && c.bos_id < 0) return fields.wrong_type("bos_token_id", "a token id");
  if (!generation_config.empty()) {
    const std::string generation_file = file + " (generation_config.json beside it)";
    SLLM_TRY(const json generation, parse_json(generation_config, generation_file));
    SLLM_OK(add_eos(JsonFields(generation, generation_file), c.eos_ids));
  }
  SLLM_OK(add_eos(fields, c.eos_ids));
  SLLM_OK(validate(c).context(file));
  return c;
}

Result<std::string> hf_config_json(const ModelConfig& c, DType dtype) {
  if (c.architecture == "llama" && c.qkv_bias != c.o_bias)
    return bad_input(
        "a llama model with biases on q, k and v but not on o has no config.json form");
  const std::string dtype_name = dtype == DType::kF32   ? "float32"
                                 : dtype == DType::kF16 ? "float16"
                                                        : "bfloat16";
  const std::string class_name = c.architecture == "qwen2"     ? "Qwen2ForCausalLM"
                                 : c.architecture == "mistral" ? "MistralForCausalLM"
                                                               : "LlamaForCausalLM";
  ordered_json out = {{"architectures", {class_name}},
                      {"model_type", c.architecture},
                      {"hidden_size", c.D},
                      {"num_hidden_layers", c.L},
                      {"num_attention_heads", c.H},
                      {"num_key_value_heads", c.Hk},
                      {"head_dim", c.Dh},
                      {"intermediate_size", c.F},
                      {"vocab_size", c.V},
                      {"max_position_embeddings", c.max_context},
                      {"hidden_act", "silu"},
                      {"rms_norm_eps", nullptr},
                      {"rope_theta", nullptr},
                      {"tie_word_embeddings", c.tied_embeddings},
                      {"use_cache", true},
                      {"torch_dtype", dtype_name}};
  // Decimal as short as float32 allows: 1e-5, not 9.999999747378752e-06.
  const auto shortest = [](float x) { return ordered_json::parse(fmt::format("{}", x)); };
  out["rms_norm_eps"] = shortest(c.norm_eps);
  out["rope_theta"] = shortest(c.rope_theta);
  if (c.architecture == "llama") {
    out["attention_bias"] = c.qkv_bias;
    out["mlp_bias"] = c.mlp_bias;
  }
  const RopeScaling& r = c.rope_scaling;
  if (r.type == "linear") out["rope_scaling"] = {{"rope_type", r.type}, {"factor", r.factor}};
  if (r.type == "llama3")
    out["rope_scaling"] = {{"rope_type", r.type},
                           {"factor", r.factor},
                           {"low_freq_factor", r.low_freq_factor},
                           {"high_freq_factor", r.high_freq_factor},
                           {"original_max_position_embeddings", r.original_context}};
  if (c.architecture != "llama")
    out["sliding_window"] = c.sliding_window > 0 ? ordered_json(c.sliding_window) : nullptr;
  if (c.architecture == "qwen2") {
    out["use_sliding_window"] = c.sliding_window > 0;
    out["max_window_layers"] = c.sliding_window > 0 ? 0 : c.L;
  }
  if (c.bos_id >= 0) out["bos_token_id"] = c.bos_id;
  if (c.eos_ids.size() == 1) out["eos_token_id"] = c.eos_ids[0];
  if (c.eos_ids.size() > 1) out["eos_token_id"] = c.eos_ids;
  return out.dump(2) + "\n";
}

std::string hf_generation_config_json(const ModelConfig& c) {
  ordered_json out = ordered_json::object();
  if (c.bos_id >= 0) out["bos_token_id"] = c.bos_id;
  if (c.eos_ids.size() == 1) out["eos_token_id"] = c.eos_ids[0];
  if (c.eos_ids.size() > 1) out["eos_token_id"] = c.eos_ids;
  return out.dump(2) + "\n";
}

}  // namespace sllm
