// How the keys and values of a sequence's state are stored in each numerics.
#pragma once

#include "io/model_source.h"
#include "ops/numerics.h"
#include "quant/format.h"

namespace sllm {

DType state_type(Numerics numerics, const ModelSource& source);

}  // namespace sllm
