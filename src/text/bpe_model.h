// Byte-level BPE (Sennrich et al. 2016; bytes as in GPT-2): the one model behind both file kinds.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "text/tokenizer_spec.h"

namespace sllm {

class BpeModel {
 public:
  // Errors: a merge of unknown tokens or into an unknown token, naming its rank.
  static Result<BpeModel> build(const TokenizerSpec& spec);

  // Appends the ids of one pre-tokenized word (raw bytes). Words are cached per thread.
  void encode(std::string_view word, std::vector<TokenId>& ids) const;

 private:
  struct Merge {
    uint64_t pair = UINT64_MAX;  // left << 32 | right
    uint32_t rank = 0;
    TokenId result = -1;
  };
  struct CachedWord;

  const Merge* find(TokenId left, TokenId right) const;
  void insert(const Merge& merge);
  void merge_word(std::string_view word, std::vector<TokenId>& ids) const;
  void merge_short(std::vector<TokenId>& symbols) const;
  void merge_long(std::vector<TokenId>& symbols) const;
  std::vector<TokenId> symbols_of(std::string_view word) const;

  std::array<TokenId, 256> id_of_byte_{};
  TokenId unknown_ = -1;
  bool fuse_unknown_ = false;
  bool ignore_merges_ = false;
  std::unordered_map<std::string, TokenId> whole_words_;  // raw bytes; only with ignore_merges
  std::vector<Merge> merges_;                             // open addressing, a power of two
  uint32_t owner_ = 0;                                    // tells models apart in the word cache
};

}  // namespace sllm
