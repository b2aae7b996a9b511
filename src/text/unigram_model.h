// Unigram (Kudo 2018): the cut of a word whose tokens' scores have the greatest sum.
#pragma once

#include <array>

#include "base/result.h"
#include "text/byte_trie.h"
#include "text/word_model.h"

namespace sllm {

class UnigramModel final : public WordModel {
 public:
  // Errors: kBadInput when scores and tokens differ in number, or there is no unknown token.
  static Result<UnigramModel> build(const TokenizerSpec& spec);
  void encode(std::string_view word, std::vector<TokenId>& ids) const override;
  void encode_traced(std::string_view word, std::vector<TokenId>& ids,
                     std::vector<size_t>& ends) const override;

 private:
  template <class Emit>
  void best_path(std::string_view word, Emit&& emit) const;

  ByteTrie trie_;
  std::vector<double> scores_;
  std::vector<bool> whole_;
  double unknown_score_ = 0, greatest_ = 0;
  TokenId unknown_ = -1;
  bool fuse_unknown_ = true, float_scores_ = false, byte_fallback_ = false;
  std::array<TokenId, 256> id_of_byte_{};
};

}  // namespace sllm
