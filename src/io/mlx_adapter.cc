#include "io/mlx_adapter.h"

#include <cmath>
#include <cstring>

#include "io/json.h"
#include "io/peft_parse.h"
#include "io/safetensors.h"

namespace sllm {
namespace {

constexpr int64_t kMaxRank = 65536;

Tensor transposed(const Tensor& t) {
  const auto [rows, cols] = t.dims<2>();
  Tensor out = Tensor::empty(t.dtype(), {cols, rows});
  const auto size = static_cast<size_t>(t.bytes() / t.size());
  const auto* from = static_cast<const char*>(t.raw());
  auto* to = static_cast<char*>(out.raw());
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < cols; ++c)
      std::memcpy(to + static_cast<size_t>(c * rows + r) * size,
                  from + static_cast<size_t>(r * cols + c) * size, size);
  return out;
}

struct Part {
  std::string_view suffix;
  Tensor LoraAdapter::Pair::*tensor;
  size_t dimensions;
};
constexpr Part kParts[] = {{".lora_a", &LoraAdapter::Pair::A, 2},
                           {".lora_b", &LoraAdapter::Pair::B, 2},
                           {".m", &LoraAdapter::Pair::magnitude, 1}};

}  // namespace

Result<MlxConfig> parse_mlx_config(std::string_view text, const std::string& file) {
  SLLM_TRY(const nlohmann::json json, parse_json(text, file));
  if (!json.is_object()) return bad_input("{}: is not a JSON object", file);
  const JsonFields fields(json, file);
  SLLM_TRY(const auto type, fields.string("fine_tune_type"));
  MlxConfig config;
  config.dora = type == "dora";
  if (type && *type != "lora" && *type != "dora")
    return with_hint(
        bad_input("{}: fine_tune_type \"{}\" is not supported (lora and dora are)", file, *type),
        "Fuse it into its model where it was made: mlx_lm.fuse");
  const auto* lora = fields.find("lora_parameters");
  if (!lora || !lora->is_object())
    return bad_input("{}: \"lora_parameters\" is missing or not an object", file);
  const JsonFields parameters(*lora, file + ": lora_parameters");
  LoraAdapter& adapter = config.adapter;
  SLLM_TRY(adapter.rank, parameters.need_integer("rank"));
  if (adapter.rank < 1 || adapter.rank > kMaxRank)
    return bad_input("{}: \"rank\" is {}, expected 1 to {}", file, adapter.rank, kMaxRank);
  SLLM_TRY(const auto scale, parameters.number("scale"));
  if (!scale) return bad_input("{}: lora_parameters has no \"scale\"", file);
  adapter.alpha = static_cast<float>(*scale * static_cast<double>(adapter.rank));
  if (!std::isfinite(adapter.alpha)) return bad_input("{}: \"scale\" is not a finite number", file);
  SLLM_TRY(const auto base, fields.string("model"));
  adapter.base_model = base.value_or("");
  return config;
}

Result<LoraAdapter> bind_mlx_tensors(const std::map<std::string, Tensor>& tensors,
                                     const std::string& file, MlxConfig config) {
  LoraAdapter adapter = std::move(config.adapter);
  for (const auto& [name, tensor] : tensors) {
    const Part* part = nullptr;
    for (const Part& p : kParts)
      if (name.ends_with(p.suffix) && name.size() > p.suffix.size()) part = &p;
    if (!part)
      return bad_input("{}: tensor \"{}\" is not named <module>.lora_a, .lora_b or .m", file, name);
    if (tensor.shape().size() != part->dimensions || tensor.size() == 0 ||
        !info(tensor.dtype()).decode || is_block_format(tensor.dtype()))
      return bad_input("{}: tensor \"{}\" is {}, expected a {} of floats", file, name,
                       tensor.to_string(), part->dimensions == 2 ? "matrix" : "vector");
    const std::string module = name.substr(0, name.size() - part->suffix.size());
    if (module.ends_with("embed_tokens"))
      return bad_input("{}: tensor \"{}\": adapters of the embedding are not supported", file,
                       name);
    LoraAdapter::Pair& pair = adapter.modules[module];
    pair.*(part->tensor) = part->dimensions == 2 ? transposed(tensor) : tensor.to_f32();
    if (part->dimensions == 1) continue;
    const int64_t rank = tensor.shape()[part->tensor == &LoraAdapter::Pair::A ? 1 : 0];
    if (rank != adapter.rank)
      return bad_input("{}: tensor \"{}\" is {}, but the adapter's rank is {}", file, name,
                       tensor.to_string(), adapter.rank);
  }
  for (const auto& [module, pair] : adapter.modules)
    if (pair.magnitude.defined() != config.dora)
      return bad_input("{}: {} has {} magnitude (.m), but fine_tune_type is {}", file, module,
                       config.dora ? "no" : "a", config.dora ? "dora" : "lora");
  SLLM_OK(check_adapter(adapter, file));
  return adapter;
}

Result<LoraAdapter> read_mlx_adapter(const fs::path& folder) {
  const fs::path config_path = folder / "adapter_config.json",
                 weights = folder / "adapters.safetensors";
  SLLM_TRY(const std::string text, read_file(config_path, uint64_t{1} << 20));
  SLLM_TRY(MlxConfig config, parse_mlx_config(text, config_path.string()));
  SLLM_TRY(const SafetensorsFile file, read_safetensors(weights));
  return bind_mlx_tensors(file.tensors, weights.string(), std::move(config));
}

}  // namespace sllm
