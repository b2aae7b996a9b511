// config.json and generation_config.json of a Hugging Face folder.
#pragma once

#include <string>
#include <string_view>

#include "io/architecture.h"
#include "quant/format.h"

namespace sllm {

// `generation_config` may be empty; its end tokens come first. `file` is for messages. Of a model
// that also sees or hears (text_config), the text model. Errors: kBadInput naming the field.
Result<ModelConfig> parse_hf_config(std::string_view config, std::string_view generation_config,
                                    const std::string& file, Architectures known);

// What parse_hf_config reads back and transformers loads; `dtype` is the main type of the weights.
Result<std::string> hf_config_json(const ModelConfig& config, DType dtype);
std::string hf_generation_config_json(const ModelConfig& config);

}  // namespace sllm
