// How the keys and values of a sequence's state are stored in each numerics.
#pragma once

#include <optional>

#include "base/result.h"
#include "io/model_source.h"
#include "ops/numerics.h"
#include "quant/format.h"

namespace sllm {

DType state_type(Numerics numerics, const ModelSource& source);
// The same, or what was asked for. kUsage where the model's heads cannot be kept so.
Result<DType> state_type(std::optional<DType> asked, Numerics numerics, const ModelSource& source);

}  // namespace sllm
