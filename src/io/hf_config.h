// config.json and generation_config.json of Hugging Face models, both directions.
#pragma once

#include <string>
#include <string_view>

#include "io/model_config.h"
#include "quant/format.h"

namespace sllm {

// `file` names config.json in messages. `generation_config` is "" when there is none; its
// eos_token_id is what generation stops at, config.json's is kept too. The result is validated.
Result<ModelConfig> parse_hf_config(std::string_view config, std::string_view generation_config,
                                    const std::string& file);

// Keys as transformers 4 and 5 both read them. `dtype`: of the weights (F32, F16, BF16).
Result<std::string> hf_config_json(const ModelConfig& config, DType dtype);
std::string hf_generation_config_json(const ModelConfig& config);

}  // namespace sllm
