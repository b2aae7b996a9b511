// What turns one word into ids: BPE, Unigram or WordPiece.
#pragma once

#include <string_view>
#include <vector>

#include "text/tokenizer_spec.h"

namespace sllm {

class WordModel {
 public:
  virtual ~WordModel() = default;
  // Appends the ids of `word` (valid UTF-8, or raw bytes for byte-level BPE). Thread-safe.
  virtual void encode(std::string_view word, std::vector<TokenId>& ids) const = 0;
  // As encode(), with the byte of the word where each token ends.
  virtual void encode_traced(std::string_view word, std::vector<TokenId>& ids,
                             std::vector<size_t>& ends) const = 0;
};

}  // namespace sllm
