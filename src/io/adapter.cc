#include "io/adapter.h"

#include "io/gguf_lora.h"
#include "io/mlx_adapter.h"

namespace sllm {

std::optional<AdapterPath> find_adapter(const fs::path& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) {
    for (const fs::path& folder : {path, path / "adapter"}) {
      if (!fs::exists(folder / "adapter_config.json", ignored)) continue;
      const bool mlx = fs::exists(folder / "adapters.safetensors", ignored) &&
                       !fs::exists(folder / "adapter_model.safetensors", ignored);
      return AdapterPath{folder, mlx ? AdapterFormat::kMlx : AdapterFormat::kPeft};
    }
    return std::nullopt;
  }
  if (path.extension() != ".gguf") return std::nullopt;
  const auto file = GgufFile::open(path);
  if (!file.ok() || !is_gguf_adapter(*file)) return std::nullopt;
  return AdapterPath{path, AdapterFormat::kGguf};
}

Result<std::string> base_model_of(const AdapterPath& adapter) {
  if (adapter.format == AdapterFormat::kGguf) {
    SLLM_TRY(const GgufFile file, GgufFile::open(adapter.path));
    return gguf_lora_base(file);
  }
  const bool mlx = adapter.format == AdapterFormat::kMlx;
  SLLM_TRY(const LoraAdapter read,
           mlx ? read_mlx_adapter(adapter.path) : read_peft_adapter(adapter.path));
  return read.base_model;
}

Result<LoraAdapter> read_adapter(const fs::path& path, const ModelConfig& base) {
  std::error_code ignored;
  if (!fs::exists(path, ignored))
    return with_hint(bad_input("{}: there is no such file or folder", path.string()),
                     "Give a PEFT folder, an mlx-lm folder or a GGUF LoRA");
  const auto found = find_adapter(path);
  if (found && found->format == AdapterFormat::kMlx) return read_mlx_adapter(found->path);
  if (found && found->format == AdapterFormat::kPeft) return read_peft_adapter(found->path);
  if (fs::is_directory(path, ignored))
    return with_hint(
        bad_input("{}: is not an adapter: it has no adapter_config.json", path.string()),
        "Give a PEFT folder, an mlx-lm folder or a GGUF LoRA");
  for (const char* pickle : {".bin", ".pt", ".pth", ".npz"})
    if (path.extension() == pickle)
      return with_hint(bad_input("{}: {} files are archives that can run code when they are read, "
                                 "or lack the adapter's rank and scale; refused",
                                 path.string(), pickle),
                       "Save the adapter as a folder with safetensors");
  if (path.extension() == ".safetensors")
    return with_hint(
        bad_input("{}: is the weights alone, without the adapter's configuration", path.string()),
        fmt::format("Give its folder: {}", path.parent_path().string()));
  SLLM_TRY(const GgufFile file, GgufFile::open(path));
  return read_gguf_lora(file, base, path.string());
}

Status write_adapter(const fs::path& out, LoraAdapter adapter, const ModelConfig& base,
                     std::optional<DType> type) {
  if (type)
    for (auto& [module, pair] : adapter.modules)
      pair.A = pair.A.to(*type), pair.B = pair.B.to(*type);
  if (out.extension() == ".gguf") return write_gguf_lora(out, adapter, base);
  return write_peft_adapter(out, adapter);
}

}  // namespace sllm
