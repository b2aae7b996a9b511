// Opening a Hugging Face folder.
#pragma once

#include <memory>

#include "io/architecture.h"
#include "io/model_source.h"

namespace sllm {

Result<std::shared_ptr<ModelSource>> open_hf_folder(const fs::path& folder, Architectures known);

}  // namespace sllm
