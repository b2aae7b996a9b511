// All architectures that we know.
#pragma once

#include <memory>
#include <string_view>

#include "base/file.h"
#include "io/model_source.h"

namespace sllm {

Architectures architectures();
// The one of this model_type, or null.
const Architecture* find_architecture(std::string_view model_type);
// The model at `path`: a .gguf file or a Hugging Face folder. Errors as ModelSource::open.
Result<std::shared_ptr<ModelSource>> open_model(const fs::path& path);

// kUsage for an encoder, in a sentence for who asked it to generate.
Status check_generates(const ModelConfig& config);

}  // namespace sllm
