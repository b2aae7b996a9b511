// adapter_config.json of PEFT: what counts, what is passed over and what is refused.
#include <cmath>
#include <functional>
#include <set>

#include "io/json.h"
#include "io/peft_parse.h"

namespace sllm {
namespace {

constexpr int64_t kMaxRank = 65536;

// What changes the arithmetic and is not done here, with what to do about it. A key counts when it
// is true, or a text, list or object that is not empty. What is not listed does not matter once an
// adapter is trained: target_modules and layers_to_transform say where it was, which its tensors
// show; dropout; fan_in_fan_out tells how a Conv1D base keeps its weight, which no linear does.
constexpr std::pair<const char*, const char*> kRefused[] = {
    {"modules_to_save",
     "These modules were trained whole: merge the adapter where it was made (PEFT's "
     "merge_and_unload) and use the merged model"},
    {"trainable_token_indices",
     "It changes rows of the embedding: merge the adapter where it was made (PEFT's "
     "merge_and_unload) and use the merged model"},
    {"layer_replication",
     "It makes layers out of copies of others: merge the adapter where it was made (PEFT's "
     "merge_and_unload) and use the merged model"},
    {"target_parameters", "Only linears can carry an adapter here"},
    {"lora_bias", "Train with lora_bias=False, or merge the adapter where it was made"},
    {"alora_invocation_tokens", "An activated LoRA is on for a part of the text only"},
    {"use_qalora", "Merge the adapter where it was made"},
    {"use_bdlora", "Merge the adapter where it was made"},
    {"arrow_config", "Use one of its adapters alone"},
    {"kasa_config", "Merge the adapter where it was made"},
    {"monteclora_config", "Merge the adapter where it was made"},
};
// Starts of an adapter that leave the base as it was.
const std::set<std::string> kPlainStarts = {"gaussian", "eva", "orthogonal"};

bool is_on(const nlohmann::json& value) {
  return value.is_boolean() ? value.get<bool>() : value.is_number() || !value.empty();
}

Status refuse_changed_base(const JsonFields& fields) {
  const auto* start = fields.find("init_lora_weights");
  if (!start || start->is_boolean()) return ok();
  SLLM_TRY(const auto name, fields.string("init_lora_weights"));
  if (kPlainStarts.contains(*name)) return ok();
  return with_hint(
      bad_input(
          "{}: \"init_lora_weights\" is \"{}\", which changes the base model too; that is not "
          "supported",
          fields.file(), *name),
      "Save it as a plain LoRA: save_pretrained(..., "
      "path_initial_model_for_weight_conversion=...)");
}

Status refuse_variants(const JsonFields& fields) {
  SLLM_TRY(const auto type, fields.string("peft_type"));
  if (type && *type != "LORA")
    return bad_input("{}: peft_type \"{}\" is not supported (LORA is)", fields.file(), *type);
  for (const auto& [key, hint] : kRefused)
    if (const auto* value = fields.find(key); value && is_on(*value))
      return with_hint(bad_input("{}: \"{}\" is not supported", fields.file(), key), hint);
  SLLM_TRY(const auto bias, fields.string("bias"));
  if (bias.value_or("none") != "none")
    return with_hint(bad_input("{}: bias \"{}\" is not supported (none is)", fields.file(), *bias),
                     "Train with bias=\"none\", or merge the adapter where it was made");
  return refuse_changed_base(fields);
}

Status check_rank(const JsonFields& fields, std::string_view key, int64_t rank) {
  if (rank >= 1 && rank <= kMaxRank) return ok();
  return bad_input("{}: \"{}\" is {}, expected 1 to {}", fields.file(), key, rank, kMaxRank);
}

// An object by module name, each of its entries handed to take(module, entries, key).
Status read_pattern(
    const JsonFields& fields, const char* key,
    const std::function<Status(const std::string&, const JsonFields&, const char*)>& take) {
  const auto* object = fields.find(key);
  if (!object) return ok();
  if (!object->is_object()) return fields.wrong_type(key, "an object");
  const JsonFields entries(*object, fmt::format("{}: {}", fields.file(), key));
  for (const auto& [module, value] : object->items()) {
    // PEFT takes regular expressions; a name with dots, bound to the start or not, is what is used.
    std::string name = module;
    for (size_t at = 0; (at = name.find("\\.", at)) != name.npos;) name.erase(at, 1);
    if (name.ends_with('$')) name.pop_back();
    if (name.empty() || name.find_first_of("*+?()[]{}|\\$", 0) != name.npos ||
        name.find('^', 1) != name.npos)
      return with_hint(bad_input("{}: {}: \"{}\" is a regular expression, which is not supported",
                                 fields.file(), key, module),
                       "Name the modules, one entry each");
    SLLM_OK(take(name, entries, module.c_str()));
  }
  return ok();
}

Status read_numbers(const JsonFields& fields, PeftConfig& config) {
  LoraAdapter& adapter = config.adapter;
  SLLM_TRY(adapter.rank, fields.need_integer("r"));
  SLLM_OK(check_rank(fields, "r", adapter.rank));
  SLLM_TRY(const auto alpha, fields.number("lora_alpha"));
  adapter.alpha = static_cast<float>(alpha.value_or(8));  // PEFT's default
  if (!std::isfinite(adapter.alpha))
    return bad_input("{}: \"lora_alpha\" is not a finite number", fields.file());
  SLLM_TRY(const auto rslora, fields.boolean("use_rslora"));
  adapter.rslora = rslora.value_or(false);
  SLLM_TRY(const auto dora, fields.boolean("use_dora"));
  config.dora = dora.value_or(false);
  SLLM_TRY(const auto base, fields.string("base_model_name_or_path"));
  adapter.base_model = base.value_or("");
  return ok();
}

// The module names "model.layers.N.rest" by rest, with their layers.
using Layers = std::map<std::string, std::set<int64_t>>;
Layers layers_of(const LoraAdapter& adapter) {
  Layers layers;
  for (const auto& [module, pair] : adapter.modules) {
    int64_t layer = -1;
    const size_t at = module.find(".layers.");
    if (at != module.npos) layer = std::strtoll(module.c_str() + at + 8, nullptr, 10);
    layers[module.substr(module.rfind('.') + 1)].insert(layer);
  }
  return layers;
}

// target_modules: "q_proj" when every layer has one, else the modules' whole names, so that PEFT
// makes no others.
std::set<std::string> target_modules(const LoraAdapter& adapter) {
  std::set<std::string> names, modules;
  const Layers layers = layers_of(adapter);
  bool alike = true;
  for (const auto& [name, where] : layers) {
    names.insert(name);
    alike &= where == layers.begin()->second && *where.begin() <= 0 &&
             *where.rbegin() - *where.begin() + 1 == static_cast<int64_t>(where.size());
  }
  if (alike) return names;
  for (const auto& [module, pair] : adapter.modules) modules.insert(module);
  return modules;
}

}  // namespace

Result<PeftConfig> parse_peft_config(std::string_view text, const std::string& file) {
  SLLM_TRY(const nlohmann::json json, parse_json(text, file));
  if (!json.is_object()) return bad_input("{}: is not a JSON object", file);
  const JsonFields fields(json, file);
  PeftConfig config;
  SLLM_OK(refuse_variants(fields));
  SLLM_OK(read_numbers(fields, config));
  const auto rank = [&](const std::string& module, const JsonFields& entries,
                        const char* key) -> Status {
    SLLM_TRY(config.ranks[module], entries.need_integer(key));
    return check_rank(entries, key, config.ranks[module]);
  };
  const auto alpha = [&](const std::string& module, const JsonFields& entries,
                         const char* key) -> Status {
    SLLM_TRY(const auto value, entries.number(key));
    if (!value || !std::isfinite(static_cast<float>(*value)))
      return bad_input("{}: \"{}\" is not a finite number", entries.file(), key);
    config.alphas[module] = static_cast<float>(*value);
    return ok();
  };
  SLLM_OK(read_pattern(fields, "rank_pattern", rank));
  SLLM_OK(read_pattern(fields, "alpha_pattern", alpha));
  return config;
}

std::string peft_config_json(const LoraAdapter& adapter) {
  nlohmann::ordered_json ranks = nlohmann::ordered_json::object(), alphas = ranks;
  bool dora = false;
  for (const auto& [module, pair] : adapter.modules) {
    dora |= pair.magnitude.defined();
    if (pair.rank() != adapter.rank) ranks[module] = pair.rank();
    if (pair.alpha && *pair.alpha != adapter.alpha) alphas[module] = *pair.alpha;
  }
  nlohmann::ordered_json config = {{"peft_type", "LORA"},
                                   {"task_type", "CAUSAL_LM"},
                                   {"base_model_name_or_path", adapter.base_model},
                                   {"r", adapter.rank},
                                   {"lora_alpha", adapter.alpha},
                                   {"use_rslora", adapter.rslora},
                                   {"lora_dropout", 0.0},
                                   {"bias", "none"},
                                   {"fan_in_fan_out", false},
                                   {"inference_mode", true},
                                   {"target_modules", target_modules(adapter)}};
  if (dora) config["use_dora"] = true;
  if (!ranks.empty()) config["rank_pattern"] = ranks;
  if (!alphas.empty()) config["alpha_pattern"] = alphas;
  return config.dump(2) + "\n";
}

}  // namespace sllm
