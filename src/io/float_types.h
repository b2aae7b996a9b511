// The float types of a model that is written as a folder.
#pragma once

#include <optional>

#include "io/model_source.h"

namespace sllm {

// One type for every tensor, as a folder needs it: `type`, or each one's own float type and BF16
// for block formats.
void keep_floats(ModelToWrite& model, std::optional<DType> type);

}  // namespace sllm
