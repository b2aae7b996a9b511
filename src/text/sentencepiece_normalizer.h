// sentencepiece's own normalizer (google/sentencepiece, src/normalizer.cc): the charsmap's longest
// rule at each place, white space trimmed and joined, a space in front, spaces shown as U+2581.
#pragma once

#include <memory>

#include "text/byte_trie.h"
#include "text/charsmap.h"
#include "text/piece.h"
#include "text/tokenizer_spec.h"

namespace sllm {

class SentencePieceNormalizer {
 public:
  static Result<SentencePieceNormalizer> build(const SentencePieceStep& step);
  Piece apply(const Piece& piece, bool trace, PieceBuffer& buffer) const;

 private:
  struct Prefix {
    std::string_view text;  // what stands there after the rule
    size_t consumed;
  };
  Prefix next(std::string_view text) const;

  SentencePieceStep options_;
  Charsmap map_;
  ByteTrie kept_;
};

}  // namespace sllm
