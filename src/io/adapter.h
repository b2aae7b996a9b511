// A LoRA adapter on disk, whatever its format: a PEFT folder, the folder of a tuning run that holds
// one, an mlx-lm folder, or a GGUF LoRA.
#pragma once

#include <optional>

#include "io/model_config.h"
#include "io/peft.h"

namespace sllm {

// The adapter that `path` is or holds, by its names and first bytes alone; nullopt for anything
// else.
enum class AdapterFormat { kPeft, kMlx, kGguf };
struct AdapterPath {
  fs::path path;
  AdapterFormat format;
};
std::optional<AdapterPath> find_adapter(const fs::path& path);

// The name or path of the model it is for, "" when it does not say.
Result<std::string> base_model_of(const AdapterPath& adapter);

// `base`: the model that it is for; only a GGUF LoRA needs it. Errors: kBadInput, as the formats'
// readers say.
Result<LoraAdapter> read_adapter(const fs::path& path, const ModelConfig& base);

// Written as a GGUF LoRA when the name ends in .gguf, as a PEFT folder otherwise. Its matrices
// become `type` (F32, F16 or BF16) when one is given.
Status write_adapter(const fs::path& out, LoraAdapter adapter, const ModelConfig& base,
                     std::optional<DType> type = {});

}  // namespace sllm
