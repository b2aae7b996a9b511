// The weights of a Hugging Face folder: model.safetensors, or shards of at most a given size with
// model.safetensors.index.json, as transformers' save_pretrained(max_shard_size=...) makes them.
#pragma once

#include "io/safetensors.h"

namespace sllm {

// max_bytes: of tensor data a file; 0: one file. `tensor` is asked for each entry once.
Status write_hf_weights(const fs::path& folder, const std::vector<SafetensorsEntry>& entries,
                        const std::function<Result<Tensor>(const SafetensorsEntry&)>& tensor,
                        const std::map<std::string, std::string>& metadata, uint64_t max_bytes);

}  // namespace sllm
