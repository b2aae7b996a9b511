// LoRA adapters as GGUF files, as llama.cpp reads them and its convert_lora_to_gguf.py writes them:
// general.type "adapter", adapter.type "lora", adapter.lora.alpha, and per linear the tensors
// "<GGUF name of its weight>.lora_a" [R, in] and ".lora_b" [out, R], whose rows lie in the order
// that GGUF gives the weight's. llama.cpp scales by alpha / R, or by 1 when alpha is 0 or absent.
#pragma once

#include "io/gguf.h"
#include "io/model_config.h"
#include "io/peft.h"

namespace sllm {

bool is_gguf_adapter(const GgufFile& file);
// The name of the model it is for, "" when it does not say.
Result<std::string> gguf_lora_base(const GgufFile& file);

// `base`: the model it is for, which decides the order of rows. Errors: kBadInput: not a LoRA,
// another architecture's, an activated LoRA, or as check_adapter. `name` is for messages.
Result<LoraAdapter> read_gguf_lora(const GgufFile& file, const ModelConfig& base,
                                   const std::string& name);
// Keys of ours (sllm.lora.*) keep what the format has no room for, so that reading the file gives
// the same adapter. A module's own alpha has no room either and goes into its B. Errors: kBadInput
// for DoRA, which the format cannot say, and for a module that `base` cannot have.
Status write_gguf_lora(const fs::path& path, const LoraAdapter& adapter, const ModelConfig& base);

}  // namespace sllm
