// The files in which tokenizers come: tokenizer.json, or what models have instead of it.
#pragma once

#include "base/file.h"
#include "base/result.h"
#include "io/model_source.h"

namespace sllm {

// The tokenizer of a Hugging Face folder: tokenizer.json, or the first that is there of
// tokenizer.model, tekken.json, *.tiktoken, vocab.json with merges.txt, vocab.txt; and
// tokenizer_config.json. Errors: kBadInput when there is none.
Result<TokenizerSource> read_tokenizer_files(const fs::path& folder);

// A folder's chat template; "" when there is none. chat_template.jinja wins over
// tokenizer_config.json, as in transformers; of several named templates the one called "default" is
// the chat template. Errors: kBadInput for a "chat_template" of another kind.
Result<std::string> read_chat_template(const fs::path& folder, const std::string& tokenizer_config);

// The tokenizer at `path`: a folder, a GGUF file (which need not hold a model) or one of the files
// above.
Result<TokenizerSource> open_tokenizer_source(const fs::path& path);
// The chat template that goes with it; "" when there is none.
Result<std::string> open_chat_template(const fs::path& path, const TokenizerSource& source);

}  // namespace sllm
