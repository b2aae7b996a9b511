// Adapters of mlx-lm (github.com/ml-explore/mlx-lm, tuner/lora.py and tuner/dora.py): a folder with
// adapter_config.json (fine_tune_type, lora_parameters {rank, scale, keys}, num_layers) and
// adapters.safetensors with <module>.lora_a [in, R], .lora_b [R, out] and, for DoRA, .m [out].
// y = x Wᵀ + scale (x lora_a) lora_b: PEFT's A and B transposed, alpha = scale R.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "io/peft.h"

namespace sllm {

// Errors: kBadInput naming the key or tensor; fine_tune_type "full" is refused.
Result<LoraAdapter> read_mlx_adapter(const fs::path& folder);

// Its halves, from memory. `file` is for messages.
struct MlxConfig {
  LoraAdapter adapter;  // no modules yet
  bool dora = false;
};
Result<MlxConfig> parse_mlx_config(std::string_view text, const std::string& file);
Result<LoraAdapter> bind_mlx_tensors(const std::map<std::string, Tensor>& tensors,
                                     const std::string& file, MlxConfig config);

}  // namespace sllm
