// A model of a given shape whose weights mean nothing: to measure what such a model costs here
// before it is here.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "io/model_source.h"

namespace sllm {

using TypeOf = std::function<DType(const TensorInfo&)>;

// Of each tensor the type it has in that model; BF16 where it has none.
TypeOf types_of(const ModelSource& source);

// Matrices in the type that `type_of` says, vectors in F32. Memory: that of the tensors.
std::shared_ptr<ModelSource> blank_model(const ModelConfig& config, const TypeOf& type_of);

// The tensors of such a model and their bytes together, without making them.
std::vector<TensorInfo> tensors_of_shape(const ModelConfig& config, const TypeOf& type_of);
int64_t bytes_of_shape(const ModelConfig& config, const TypeOf& type_of);

// The shape of the known model nearest in size: SmolLM2-135M, Qwen2.5-0.5B, 1.5B, 3B or 7B.
// `parameters`: in millions.
ModelConfig shape_of_size(double parameters);

}  // namespace sllm
