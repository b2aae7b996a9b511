// Which tensors a model of a given configuration must have, with their shapes: the one list that
// readers check against.
#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "io/model_source.h"

namespace sllm {

// Hugging Face name -> shape. A tied model has no "lm_head.weight".
std::map<std::string, Shape> expected_tensors(const ModelConfig& config);

// kBadInput naming the first tensor that is missing, misshapen or not part of the architecture.
Status check_tensors(const ModelConfig& config, const std::vector<TensorInfo>& tensors);

}  // namespace sllm
