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

// The tokenizer at `path`: a folder, a GGUF file (which need not hold a model) or one of the files
// above.
Result<TokenizerSource> open_tokenizer_source(const fs::path& path);

}  // namespace sllm
