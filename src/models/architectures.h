// One function per architecture; registry.cc maps the model_type of a configuration to it.
#pragma once

#include <memory>

#include "models/model.h"

namespace sllm {

Result<std::shared_ptr<Model>> load_llama(std::shared_ptr<ModelSource> source);
Result<std::shared_ptr<Model>> load_qwen2(std::shared_ptr<ModelSource> source);

}  // namespace sllm
