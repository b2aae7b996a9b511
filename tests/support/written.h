// Models as files, their tokenizers in each file's form (what compress/convert.h does above this).
#pragma once

#include "io/model_source.h"
#include "text/tokenizer_convert.h"

namespace sllm::testing {

inline Result<fs::path> to_gguf_file(const fs::path& path, ModelToWrite model) {
  SLLM_TRY(model.tokenizer, tokenizer_for_gguf(model.tokenizer, model.config));
  return write_gguf(path, model);
}

inline Status to_folder(const fs::path& path, ModelToWrite model) {
  SLLM_TRY(model.tokenizer,
           tokenizer_for_folder(model.tokenizer, model.chat_template, model.config));
  return write_hf_folder(path, model);
}

}  // namespace sllm::testing
