// A tokenizer in the form of another kind of model file. Every form is read into one description
// (text/tokenizer_spec.h) and written from it, so each that is read here can be written here.
#pragma once

#include "io/model_config.h"
#include "io/model_source.h"

namespace sllm {

// GGUF's arrays; itself when it has that form. Ids without a token up to config.V become unused
// "[PAD<id>]" entries. Errors: kBadInput naming what GGUF has no words for, or the probe text whose
// ids would change.
Result<TokenizerSource> tokenizer_for_gguf(const TokenizerSource& source,
                                           const ModelConfig& config);

// The files of a Hugging Face folder; itself when it has them, else tokenizer.json and
// tokenizer_config.json. Errors as above.
Result<TokenizerSource> tokenizer_for_folder(const TokenizerSource& source,
                                             const std::string& chat_template,
                                             const ModelConfig& config);

}  // namespace sllm
