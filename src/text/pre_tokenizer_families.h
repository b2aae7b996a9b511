// What a name in a GGUF file's tokenizer.ggml.pre stands for.
#pragma once

#include <string_view>
#include <vector>

#include "text/tokenizer_spec.h"

namespace sllm {

struct PreTokenizerFamily {
  std::vector<PreTokenizerStep> steps;
  bool nfc = false;  // the family's tokenizer.json normalizes; llama.cpp does not
  bool ignore_merges = false;
  bool adds_bos = false;
};
// Errors: kBadInput naming those that are known.
Result<PreTokenizerFamily> pre_tokenizer_family(std::string_view pre);

// The name for a byte-level BPE's normalizer, pre-tokenizer and ignore_merges. kBadInput when none
// says the same.
Result<std::string> pre_tokenizer_name(const TokenizerSpec& spec);

}  // namespace sllm
