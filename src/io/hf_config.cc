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

// By model_type, of several rows by the class; the first where no class says it.
Result<const Architecture*> find(const std::string& type, const JsonFields& fields,
                                 Architectures known) {
  const std::string& file = fields.file();
  const json* classes = fields.find("architectures");
  const Architecture* first = nullptr;
  for (const Architecture* a : known) {
    if (type != a->model_type) continue;
    if (classes && classes->is_array() && !classes->empty() && (*classes)[0] == a->class_name)
      return a;
    if (!first) first = a;
  }
  if (first) return first;
  return with_hint(bad_input("{}: model_type \"{}\" is not supported", file, type),
                   "Supported: " + names_of(known, &Architecture::model_type));
}

}  // namespace

Result<ModelConfig> parse_hf_config(std::string_view config, std::string_view generation_config,
                                    const std::string& file, Architectures known) {
  SLLM_TRY(const json root, parse_json(config, file));
  if (!root.is_object()) return bad_input("{}: is not a JSON object", file);
  const JsonFields whole(root, file);
  if (whole.has("quantization_config"))
    return with_hint(bad_input("{}: quantised Hugging Face checkpoints are not supported", file),
                     "Use the original checkpoint or a GGUF file");
  const json* text = whole.find("text_config");
  if (text && !text->is_object()) return whole.wrong_type("text_config", "an object");
  const JsonFields fields(text ? *text : root, text ? file + ": text_config" : file);
  SLLM_TRY(const auto type, fields.string("model_type"));
  if (!type) return bad_input("{}: \"model_type\" is missing", fields.file());
  ModelConfig c;
  SLLM_TRY(c.architecture, find(*type, fields, known));
  SLLM_TRY(const auto name, whole.string("_name_or_path"));
  c.name = name.value_or("");
  ConfigFields in = ConfigFields::read_hf(fields);
  c.architecture->fields(in, c);
  SLLM_OK(in.status());
  // Of a model with images, the head's tie may stand outside.
  if (text && !text->contains("tie_word_embeddings")) {
    SLLM_TRY(const auto tied, whole.boolean("tie_word_embeddings"));
    if (tied) c.tied_embeddings = *tied;
  }
  for (const JsonFields* part : {&fields, &whole}) {
    const json* bos = part->find("bos_token_id");
    if (!bos || c.bos_id >= 0) continue;
    if (bos->is_number_integer() && *bos >= 0 && *bos < c.V) c.bos_id = bos->get<int32_t>();
    if (c.bos_id < 0) return part->wrong_type("bos_token_id", "a token id");
  }
  if (!generation_config.empty()) {
    const std::string generation_file = file + " (generation_config.json beside it)";
    SLLM_TRY(const json generation, parse_json(generation_config, generation_file));
    if (!generation.is_object()) return bad_input("{}: is not an object", generation_file);
    SLLM_OK(add_eos(JsonFields(generation, generation_file), c.eos_ids));
  }
  SLLM_OK(add_eos(whole, c.eos_ids));
  SLLM_OK(add_eos(fields, c.eos_ids));
  SLLM_OK(validate(c).context(file));
  return c;
}

Result<std::string> hf_config_json(const ModelConfig& config, DType dtype) {
  ModelConfig c = config;  // the description takes what it could also fill
  ordered_json out = {{"architectures", {c.architecture->class_name}},
                      {"model_type", c.architecture->model_type}};
  ConfigFields fields = ConfigFields::write_hf(out);
  c.architecture->fields(fields, c);
  SLLM_OK(fields.status());
  out["use_cache"] = true;
  out["torch_dtype"] = dtype == DType::kF32   ? "float32"
                       : dtype == DType::kF16 ? "float16"
                                              : "bfloat16";
  if (c.bos_id >= 0) out["bos_token_id"] = c.bos_id;
  if (c.eos_ids.size() == 1) out["eos_token_id"] = c.eos_ids[0];
  if (c.eos_ids.size() > 1) out["eos_token_id"] = c.eos_ids;
  // Padding is the tokenizer's. Left out, some classes of transformers take an id of their own
  // family's vocabulary, which may lie beyond this one.
  if (!out.contains("pad_token_id")) out["pad_token_id"] = nullptr;
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
