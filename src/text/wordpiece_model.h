// WordPiece (BERT): the longest token that begins what is left of a word, again and again.
#pragma once

#include "base/result.h"
#include "text/byte_trie.h"
#include "text/word_model.h"

namespace sllm {

class WordPieceModel final : public WordModel {
 public:
  static Result<WordPieceModel> build(const TokenizerSpec& spec);
  void encode(std::string_view word, std::vector<TokenId>& ids) const override;
  void encode_traced(std::string_view word, std::vector<TokenId>& ids,
                     std::vector<size_t>& ends) const override;

 private:
  ByteTrie trie_;
  uint32_t continuing_ = ByteTrie::kNone;  // where "##" leads
  TokenId unknown_ = -1;
  size_t max_chars_ = 100;
};

}  // namespace sllm
