// How an encoder's rows become one vector (ModelConfig::pooling), in both formats. A folder says it
// in sentence-transformers' modules.json, with a folder for each module: 1_Pooling/config.json,
// then linear layers (2_Dense, 3_Dense) and Normalize. GGUF has pooling_type, and the linear layers
// as the tensors dense_2 and dense_3.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "io/architecture.h"

namespace sllm {

struct PoolingModules {
  Pooling pooling;
  std::vector<std::string> dense_folders;  // in the model's folder, one for each of pooling.dense
};
// nullopt: there is no modules.json. Errors: kBadInput for a module that is not one of the above.
Result<std::optional<PoolingModules>> read_pooling_modules(const fs::path& folder);
// modules.json and the modules' folders but for their weights. The k-th linear layer's is
// dense_folder(k).
Status write_pooling_modules(const fs::path& folder, const ModelConfig& config);

// GGUF's keys; ModelConfig::pooling stays absent when there are none.
void pooling_fields(ConfigFields& fields, ModelConfig& config);

std::string dense_folder(size_t k);  // "2_Dense"
std::string dense_name(size_t k);    // "2_Dense.linear.weight", as ModelSource calls it
// The linear layers' tensors, [out, in].
std::vector<TensorSpec> dense_tensors(const ModelConfig& config);

}  // namespace sllm
