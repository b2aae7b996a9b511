// PEFT adapters: the matrices of adapter_model.safetensors, and what an adapter of any format must
// hold.
#include "io/peft.h"

#include <cmath>

#include "io/peft_parse.h"
#include "io/safetensors.h"

namespace sllm {
namespace {

constexpr std::string_view kPrefix = "base_model.model.";

struct Part {
  std::string_view suffix;  // of the tensor's name
  Tensor LoraAdapter::Pair::*tensor;
  size_t dimensions;
};
constexpr Part kParts[] = {
    {".lora_A.weight", &LoraAdapter::Pair::A, 2},
    {".lora_B.weight", &LoraAdapter::Pair::B, 2},
    {".lora_magnitude_vector", &LoraAdapter::Pair::magnitude, 1},
    {".lora_magnitude_vector.weight", &LoraAdapter::Pair::magnitude, 1},  // PEFT before 0.12
};

const Part* part_of(const std::string& name) {
  for (const Part& part : kParts)
    if (name.ends_with(part.suffix) && name.size() > kPrefix.size() + part.suffix.size())
      return &part;
  return nullptr;
}

Error unknown_tensor(const std::string& file, const std::string& name) {
  if (name.find(".lora_embedding_") != name.npos)
    return bad_input("{}: tensor \"{}\": adapters of the embedding are not supported", file, name);
  if (name.ends_with(".weight") || name.ends_with(".bias"))
    return with_hint(
        bad_input("{}: tensor \"{}\" is not named base_model.model.<module>.lora_A.weight or "
                  "lora_B.weight: it replaces a weight of the base",
                  file, name),
        "Merge the adapter where it was made (PEFT's merge_and_unload), or save it with "
        "save_embedding_layers=False");
  return bad_input(
      "{}: tensor \"{}\" is not named base_model.model.<module>.lora_A.weight or "
      "lora_B.weight",
      file, name);
}

// The entry for `module`: that of its whole name, or of the end of it.
template <class T>
Result<std::optional<T>> find_pattern(const std::map<std::string, T>& pattern,
                                      const std::string& module, const std::string& file,
                                      const char* key) {
  std::optional<T> found;
  std::string by;
  for (const auto& [name, value] : pattern) {
    const bool bound = name.starts_with('^');
    const std::string_view end = std::string_view(name).substr(bound);
    const bool fits =
        module == end || (!bound && module.size() > end.size() && module.ends_with(end) &&
                          module[module.size() - end.size() - 1] == '.');
    if (!fits) continue;
    if (found && *found != value)
      return bad_input("{}: \"{}\" and \"{}\" of {} both fit {}", file, by, name, key, module);
    found = value;
    by = name;
  }
  return found;
}

bool all_finite(const Tensor& tensor) {
  const Tensor numbers = tensor.to_f32();
  for (int64_t i = 0; i < numbers.size(); ++i)
    if (!std::isfinite(numbers.data<float>()[i])) return false;
  return true;
}

}  // namespace

float LoraAdapter::scale() const {
  const auto r = static_cast<float>(rank);
  return alpha / (rslora ? std::sqrt(r) : r);
}

float LoraAdapter::scale(const Pair& pair) const {
  const auto r = static_cast<float>(pair.rank());
  return pair.alpha.value_or(alpha) / (rslora ? std::sqrt(r) : r);
}

Status check_adapter(const LoraAdapter& adapter, const std::string& file) {
  for (const auto& [module, pair] : adapter.modules) {
    if (!pair.A.defined() || !pair.B.defined())
      return with_hint(
          bad_input("{}: {} has no lora_{}", file, module, pair.A.defined() ? 'B' : 'A'),
          "Save the adapter again: half of this matrix is missing");
    if (pair.A.rows() != pair.B.cols())
      return bad_input("{}: {}: lora_A is {} and lora_B is {}, which do not have one rank", file,
                       module, pair.A.to_string(), pair.B.to_string());
    if (pair.magnitude.defined() && pair.magnitude.size() != pair.B.rows())
      return bad_input("{}: {}: the magnitude is {}, but lora_B is {}", file, module,
                       pair.magnitude.to_string(), pair.B.to_string());
    for (const auto& [name, tensor] : {std::pair("lora_A", pair.A), std::pair("lora_B", pair.B),
                                       std::pair("magnitude", pair.magnitude)})
      if (tensor.defined() && !all_finite(tensor))
        return with_hint(
            bad_input("{}: {}: {} holds a NaN or an infinite number", file, module, name),
            "The training that made it diverged: use an earlier checkpoint");
  }
  if (adapter.modules.empty()) return bad_input("{}: holds no LoRA matrices", file);
  return ok();
}

Result<LoraAdapter> bind_peft_tensors(const std::map<std::string, Tensor>& tensors,
                                      const std::string& file, PeftConfig config) {
  LoraAdapter adapter = std::move(config.adapter);
  for (const auto& [name, tensor] : tensors) {
    const Part* part = part_of(name);
    if (!name.starts_with(kPrefix) || !part) return unknown_tensor(file, name);
    if (tensor.shape().size() != part->dimensions || tensor.size() == 0 ||
        !info(tensor.dtype()).decode)
      return bad_input("{}: tensor \"{}\" is {}, expected a {} of floats", file, name,
                       tensor.to_string(), part->dimensions == 2 ? "matrix" : "vector");
    const std::string module =
        name.substr(kPrefix.size(), name.size() - kPrefix.size() - part->suffix.size());
    LoraAdapter::Pair& pair = adapter.modules[module];
    pair.*(part->tensor) = part->dimensions == 2 ? tensor : tensor.to_f32();
    if (part->dimensions == 1) continue;
    SLLM_TRY(const auto own, find_pattern(config.ranks, module, file, "rank_pattern"));
    const int64_t rank =
                      part->tensor == &LoraAdapter::Pair::A ? tensor.shape()[0] : tensor.shape()[1],
                  wanted = own.value_or(adapter.rank);
    if (rank != wanted)
      return bad_input("{}: tensor \"{}\" is {}, but the adapter's rank is {}", file, name,
                       tensor.to_string(), wanted);
    SLLM_TRY(pair.alpha, find_pattern(config.alphas, module, file, "alpha_pattern"));
  }
  for (const auto& [module, pair] : adapter.modules)
    if (pair.magnitude.defined() != config.dora)
      return bad_input("{}: {} has {} magnitude vector, but use_dora is {}", file, module,
                       config.dora ? "no" : "a", config.dora);
  SLLM_OK(check_adapter(adapter, file));
  return adapter;
}

Result<LoraAdapter> read_peft_adapter(const fs::path& folder) {
  const fs::path config_path = folder / "adapter_config.json",
                 weights = folder / "adapter_model.safetensors";
  std::error_code ignored;
  if (!fs::exists(weights, ignored) && fs::exists(folder / "adapter_model.bin", ignored))
    return with_hint(bad_input("{}: is a pickle, which can run code when it is read; refused",
                               (folder / "adapter_model.bin").string()),
                     "Save the adapter as safetensors");
  SLLM_TRY(const std::string text, read_file(config_path, uint64_t{1} << 20));
  SLLM_TRY(PeftConfig config, parse_peft_config(text, config_path.string()));
  SLLM_TRY(const SafetensorsFile file, read_safetensors(weights));
  return bind_peft_tensors(file.tensors, weights.string(), std::move(config));
}

Status write_peft_adapter(const fs::path& folder, const LoraAdapter& adapter) {
  std::map<std::string, Tensor> tensors;
  for (const auto& [module, pair] : adapter.modules) {
    for (const Part& part : std::span(kParts).first(3))
      if (const Tensor& tensor = pair.*(part.tensor); tensor.defined())
        tensors[fmt::format("{}{}{}", kPrefix, module, part.suffix)] = tensor;
  }
  SLLM_TRY(auto dir,
           AtomicDir::create(folder, {{"adapter_config.json", "adapter_model.safetensors"}, {}}));
  SLLM_OK(write_file_atomically(dir.path() / "adapter_config.json", peft_config_json(adapter)));
  SLLM_OK(write_safetensors(dir.path() / "adapter_model.safetensors", tensors, {{"format", "pt"}}));
  return dir.commit();
}

}  // namespace sllm
