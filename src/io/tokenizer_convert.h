// Tokenizers between tokenizer.json or tokenizer.model and GGUF's arrays.
#pragma once

#include <string>

#include "io/model_config.h"
#include "io/model_source.h"

namespace sllm {

// tokenizer.json (byte-level BPE) or tokenizer.model -> GGUF. Ids without a token up to config.V
// become unused "[PAD<id>]" entries. kBadInput for other tokenizers and for pre-tokenizers without
// a GGUF name.
Result<TokenizerSource::Gguf> to_gguf_tokenizer(const TokenizerSource& source,
                                                const ModelConfig& config);

struct HfTokenizerFiles {
  std::string tokenizer_json, tokenizer_config_json;
};
// GGUF -> tokenizer.json and tokenizer_config.json. kBadInput when tokenizer.ggml.model is not
// "gpt2" or its pre-tokenizer is not one of smollm, gpt-2, qwen2, llama-bpe (and their aliases).
Result<HfTokenizerFiles> to_hf_tokenizer(const TokenizerSource::Gguf& tokenizer,
                                         const std::string& chat_template, int64_t max_context);

}  // namespace sllm
