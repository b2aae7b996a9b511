// The halves of read_peft_adapter and write_peft_adapter, from memory.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "io/peft.h"

namespace sllm {

// adapter_config.json without what the tensors say.
struct PeftConfig {
  LoraAdapter adapter;  // no modules yet
  bool dora = false;
  // By a module's name or the end of it ("q_proj", "layers.0.mlp.up_proj"); "^" binds it to the
  // start.
  std::map<std::string, int64_t> ranks;
  std::map<std::string, float> alphas;
};
Result<PeftConfig> parse_peft_config(std::string_view text, const std::string& file);
// The adapter with its matrices, each checked against the configuration. `file` is for messages.
Result<LoraAdapter> bind_peft_tensors(const std::map<std::string, Tensor>& tensors,
                                      const std::string& file, PeftConfig config);
std::string peft_config_json(const LoraAdapter& adapter);

// What every format's reader ends with: both halves are there and fit each other, and all numbers
// are finite. `file` is for messages.
Status check_adapter(const LoraAdapter& adapter, const std::string& file);

}  // namespace sllm
