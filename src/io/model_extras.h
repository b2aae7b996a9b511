// What a model keeps beside weights, tokenizer and chat template, in a folder and in a GGUF file:
//                     folder                                     GGUF
//   other templates   additional_chat_templates/NAME.jinja, or   tokenizer.chat_templates,
//                     a list in tokenizer_config.json            tokenizer.chat_template.NAME
//   sampling          generation_config.json                     general.sampling.*, and all of it
//                                                                in huggingface.generation_config
#pragma once

#include <map>
#include <string>

#include "base/file.h"

namespace sllm {

class GgufFile;
class GgufWriter;

struct ModelExtras {
  std::map<std::string, std::string> templates;  // "tool_use" -> Jinja; not the chat template
  std::string generation_config;                 // JSON; "" when there is none
};

// `tokenizer_config`: the text of tokenizer_config.json. Errors: kBadInput with the file's name.
Result<ModelExtras> read_hf_extras(const fs::path& folder, const std::string& tokenizer_config);
Result<ModelExtras> read_gguf_extras(const GgufFile& file);

// Writes additional_chat_templates/ and generation_config.json, in which the ids of `ids` (JSON:
// eos_token_id ...) win. kBadInput for a template's name that is not one of a file.
Status write_hf_extras(const fs::path& folder, const ModelExtras& extras, const std::string& ids);
Status add_gguf_extras(GgufWriter& out, const ModelExtras& extras);

}  // namespace sllm
