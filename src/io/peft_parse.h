// The two halves of read_peft_adapter, from memory.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "io/peft.h"

namespace sllm {

// adapter_config.json; the modules are still empty.
Result<LoraAdapter> parse_peft_config(std::string_view text, const std::string& file);
// Adds the matrices, each checked against the configuration's rank.
Status bind_peft_tensors(const std::map<std::string, Tensor>& tensors, const std::string& file,
                         LoraAdapter& adapter);

}  // namespace sllm
