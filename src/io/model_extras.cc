#include "io/model_extras.h"

#include <algorithm>

#include "io/gguf.h"
#include "io/gguf_writer.h"
#include "io/json.h"

namespace sllm {
namespace {

constexpr uint64_t kMaxBytes = uint64_t{1} << 20;
constexpr const char* kFolder = "additional_chat_templates";

// generation_config.json's field and the GGUF key for it, as gguf-py's Metadata pairs them.
struct Sampling {
  const char *field, *key;
  bool whole;
};
constexpr Sampling kSampling[] = {
    {"temperature", "general.sampling.temp", false},
    {"top_p", "general.sampling.top_p", false},
    {"top_k", "general.sampling.top_k", true},
    {"min_p", "general.sampling.min_p", false},
    {"repetition_penalty", "general.sampling.penalty_repeat", false},
};

bool is_plain_name(const std::string& name) {
  return !name.empty() && name.size() <= 64 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  });
}

Result<std::map<std::string, std::string>> read_template_files(const fs::path& folder) {
  std::map<std::string, std::string> templates;
  std::error_code error;
  for (fs::directory_iterator it(folder / kFolder, error), end; !error && it != end;
       it.increment(error)) {
    if (it->path().extension() != ".jinja") continue;
    SLLM_TRY(templates[it->path().stem().string()], read_file(it->path(), kMaxBytes));
  }
  return templates;
}

Result<std::map<std::string, std::string>> read_template_list(const std::string& tokenizer_config,
                                                              const std::string& file) {
  std::map<std::string, std::string> templates;
  if (tokenizer_config.empty()) return templates;
  SLLM_TRY(const nlohmann::json json, parse_json(tokenizer_config, file));
  const nlohmann::json* list = JsonFields(json, file).find("chat_template");
  if (!list || !list->is_array()) return templates;
  for (const nlohmann::json& entry : *list) {
    const JsonFields fields(entry, file + ": chat_template");
    SLLM_TRY(const auto name, fields.string("name"));
    SLLM_TRY(const auto source, fields.string("template"));
    if (name && source && *name != "default") templates[*name] = *source;
  }
  return templates;
}

}  // namespace

Result<ModelExtras> read_hf_extras(const fs::path& folder, const std::string& tokenizer_config) {
  ModelExtras extras;
  std::error_code ignored;
  const fs::path generation = folder / "generation_config.json";
  if (fs::exists(generation, ignored)) {
    SLLM_TRY(extras.generation_config, read_file(generation, kMaxBytes));
  }
  // The files win over the list, as in transformers.
  if (fs::exists(folder / "chat_template.jinja", ignored)) {
    SLLM_TRY(extras.templates, read_template_files(folder));
  } else {
    SLLM_TRY(extras.templates,
             read_template_list(tokenizer_config, (folder / "tokenizer_config.json").string()));
  }
  return extras;
}

Result<ModelExtras> read_gguf_extras(const GgufFile& file) {
  ModelExtras extras;
  SLLM_TRY(const auto names, file.strings("tokenizer.chat_templates"));
  for (const std::string& name : names.value_or(std::vector<std::string>())) {
    SLLM_TRY(const auto source, file.string("tokenizer.chat_template." + name));
    if (!source)
      return bad_input("tokenizer.chat_templates lists \"{}\", but there is no such template",
                       name);
    extras.templates[name] = *source;
  }
  SLLM_TRY(const auto whole, file.string("huggingface.generation_config"));
  if (whole) {
    extras.generation_config = *whole;
    return extras;
  }
  nlohmann::ordered_json config;
  for (const Sampling& s : kSampling) {
    SLLM_TRY(const auto value, file.number(s.key));
    if (!value) continue;
    // The shortest decimal of the float, so that 0.7 stays 0.7.
    config[s.field] = s.whole ? nlohmann::ordered_json(static_cast<int64_t>(*value))
                              : nlohmann::ordered_json::parse(
                                    fmt::format("{}", static_cast<float>(*value)), nullptr, false);
  }
  if (!config.is_null()) {
    config["do_sample"] = true;
    extras.generation_config = config.dump(2) + "\n";
  }
  return extras;
}

Status write_hf_extras(const fs::path& folder, const ModelExtras& extras, const std::string& ids) {
  const fs::path generation = folder / "generation_config.json";
  std::string text = ids;
  if (!extras.generation_config.empty()) {
    SLLM_TRY(nlohmann::json config, parse_json(extras.generation_config, generation.string()));
    SLLM_TRY(const nlohmann::json own, parse_json(ids, generation.string()));
    if (!config.is_object()) return bad_input("{}: is not a JSON object", generation.string());
    config.update(own);
    text = config.dump(2) + "\n";
  }
  SLLM_OK(write_file_atomically(generation, text));
  for (const auto& [name, source] : extras.templates) {
    if (!is_plain_name(name))
      return bad_input("the chat template \"{}\" has a name that no file can have", name);
    std::error_code ignored;
    fs::create_directory(folder / kFolder, ignored);
    SLLM_OK(write_file_atomically(folder / kFolder / (name + ".jinja"), source));
  }
  return ok();
}

Status add_gguf_extras(GgufWriter& out, const ModelExtras& extras) {
  std::vector<std::string> names;
  for (const auto& [name, source] : extras.templates) {
    names.push_back(name);
    out.add("tokenizer.chat_template." + name, source);
  }
  if (!names.empty()) out.add("tokenizer.chat_templates", std::span<const std::string>(names));
  if (extras.generation_config.empty()) return ok();
  out.add("huggingface.generation_config", extras.generation_config);
  SLLM_TRY(const nlohmann::json config,
           parse_json(extras.generation_config, "generation_config.json"));
  const JsonFields fields(config, "generation_config.json");
  for (const Sampling& s : kSampling) {
    SLLM_TRY(const auto value, fields.number(s.field));
    if (!value) continue;
    if (s.whole)
      out.add(s.key, static_cast<int32_t>(std::clamp(*value, 0.0, 1e9)));
    else
      out.add(s.key, static_cast<float>(*value));
  }
  return ok();
}

}  // namespace sllm
