// PEFT adapters: adapter_config.json and adapter_model.safetensors.
#include "io/peft.h"

#include <cmath>
#include <set>

#include "io/json.h"
#include "io/peft_parse.h"
#include "io/safetensors.h"

namespace sllm {
namespace {

constexpr std::string_view kPrefix = "base_model.model.";
constexpr int64_t kMaxRank = 65536;

Status unsupported(const JsonFields& fields, const char* key, bool present) {
  if (!present) return ok();
  return bad_input("{}: \"{}\" is not supported", fields.file(), key);
}

Status read_numbers(const JsonFields& fields, LoraAdapter& adapter) {
  SLLM_TRY(adapter.rank, fields.need_integer("r"));
  if (adapter.rank < 1 || adapter.rank > kMaxRank)
    return bad_input("{}: \"r\" is {}, expected 1 to {}", fields.file(), adapter.rank, kMaxRank);
  SLLM_TRY(const auto alpha, fields.number("lora_alpha"));
  adapter.alpha = static_cast<float>(alpha.value_or(8));  // PEFT's default
  if (!std::isfinite(adapter.alpha))
    return bad_input("{}: \"lora_alpha\" is not a finite number", fields.file());
  SLLM_TRY(const auto rslora, fields.boolean("use_rslora"));
  adapter.rslora = rslora.value_or(false);
  SLLM_TRY(const auto base, fields.string("base_model_name_or_path"));
  adapter.base_model = base.value_or("");
  return ok();
}

// What changes the arithmetic and we do not do must not be passed over in silence.
Status refuse_variants(const JsonFields& fields) {
  SLLM_TRY(const auto type, fields.string("peft_type"));
  if (type && *type != "LORA")
    return bad_input("{}: peft_type \"{}\" is not supported (LORA is)", fields.file(), *type);
  for (const char* key : {"use_dora", "fan_in_fan_out", "lora_bias", "use_qalora"}) {
    SLLM_TRY(const auto on, fields.boolean(key));
    SLLM_OK(unsupported(fields, key, on.value_or(false)));
  }
  SLLM_TRY(const auto bias, fields.string("bias"));
  if (bias.value_or("none") != "none")
    return bad_input("{}: bias \"{}\" is not supported (none is)", fields.file(), *bias);
  for (const char* key : {"rank_pattern", "alpha_pattern", "modules_to_save"}) {
    const auto* value = fields.find(key);
    SLLM_OK(unsupported(fields, key, value && !value->empty()));
  }
  return ok();
}

}  // namespace

float LoraAdapter::scale() const {
  const auto r = static_cast<float>(rank);
  return alpha / (rslora ? std::sqrt(r) : r);
}

Result<LoraAdapter> parse_peft_config(std::string_view text, const std::string& file) {
  SLLM_TRY(const nlohmann::json json, parse_json(text, file));
  if (!json.is_object()) return bad_input("{}: is not a JSON object", file);
  const JsonFields fields(json, file);
  LoraAdapter adapter;
  SLLM_OK(refuse_variants(fields));
  SLLM_OK(read_numbers(fields, adapter));
  return adapter;
}

Status bind_peft_tensors(const std::map<std::string, Tensor>& tensors, const std::string& file,
                         LoraAdapter& adapter) {
  for (const auto& [name, tensor] : tensors) {
    const bool is_a = name.ends_with(".lora_A.weight"), is_b = name.ends_with(".lora_B.weight");
    if (!name.starts_with(kPrefix) || (!is_a && !is_b) || name.size() <= kPrefix.size() + 14)
      return bad_input(
          "{}: tensor \"{}\" is not named base_model.model.<module>.lora_A.weight or "
          "lora_B.weight",
          file, name);
    if (tensor.shape().size() != 2 || tensor.size() == 0 || !info(tensor.dtype()).decode)
      return bad_input("{}: tensor \"{}\" is {}, expected a matrix of floats", file, name,
                       tensor.to_string());
    const int64_t rank = is_a ? tensor.shape()[0] : tensor.shape()[1];
    if (rank != adapter.rank)
      return bad_input("{}: tensor \"{}\" is {}, but the adapter's rank is {}", file, name,
                       tensor.to_string(), adapter.rank);
    const std::string module = name.substr(kPrefix.size(), name.size() - kPrefix.size() - 14);
    LoraAdapter::Pair& pair = adapter.modules[module];
    (is_a ? pair.A : pair.B) = tensor.to_f32();
  }
  for (const auto& [module, pair] : adapter.modules)
    if (!pair.A.defined() || !pair.B.defined())
      return bad_input("{}: {} has no lora_{}", file, module, pair.A.defined() ? 'B' : 'A');
  if (adapter.modules.empty()) return bad_input("{}: holds no LoRA matrices", file);
  return ok();
}

Result<LoraAdapter> read_peft_adapter(const fs::path& folder) {
  const fs::path config = folder / "adapter_config.json",
                 weights = folder / "adapter_model.safetensors";
  std::error_code ignored;
  if (!fs::exists(weights, ignored) && fs::exists(folder / "adapter_model.bin", ignored))
    return with_hint(bad_input("{}: is a pickle, which can run code when it is read; refused",
                               (folder / "adapter_model.bin").string()),
                     "Save the adapter as safetensors");
  SLLM_TRY(const std::string text, read_file(config, uint64_t{1} << 20));
  SLLM_TRY(LoraAdapter adapter, parse_peft_config(text, config.string()));
  SLLM_TRY(const SafetensorsFile file, read_safetensors(weights));
  SLLM_OK(bind_peft_tensors(file.tensors, weights.string(), adapter));
  return adapter;
}

Status write_peft_adapter(const fs::path& folder, const LoraAdapter& adapter) {
  std::set<std::string> targets;  // "q_proj" of "model.layers.0.self_attn.q_proj"
  std::map<std::string, Tensor> tensors;
  for (const auto& [module, pair] : adapter.modules) {
    targets.insert(module.substr(module.rfind('.') + 1));
    tensors[fmt::format("{}{}.lora_A.weight", kPrefix, module)] = pair.A;
    tensors[fmt::format("{}{}.lora_B.weight", kPrefix, module)] = pair.B;
  }
  const nlohmann::ordered_json config = {{"peft_type", "LORA"},
                                         {"task_type", "CAUSAL_LM"},
                                         {"base_model_name_or_path", adapter.base_model},
                                         {"r", adapter.rank},
                                         {"lora_alpha", adapter.alpha},
                                         {"use_rslora", adapter.rslora},
                                         {"lora_dropout", 0.0},
                                         {"bias", "none"},
                                         {"fan_in_fan_out", false},
                                         {"inference_mode", true},
                                         {"target_modules", targets}};
  SLLM_TRY(auto dir,
           AtomicDir::create(folder, {{"adapter_config.json", "adapter_model.safetensors"}, {}}));
  SLLM_OK(write_file_atomically(dir.path() / "adapter_config.json", config.dump(2) + "\n"));
  SLLM_OK(write_safetensors(dir.path() / "adapter_model.safetensors", tensors, {{"format", "pt"}}));
  return dir.commit();
}

}  // namespace sllm
