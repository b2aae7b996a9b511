// BPE (Sennrich et al. 2016) over bytes (GPT-2) or characters (SentencePiece), with merges from a
// list or from the tokens' scores.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "text/byte_trie.h"
#include "text/hangul_starts.h"
#include "text/word_model.h"
#include "text/word_table.h"

namespace sllm {

class BpeModel final : public WordModel {
 public:
  // Errors: a merge of unknown tokens or into an unknown token, naming its rank.
  static Result<BpeModel> build(const TokenizerSpec& spec);

  // Appends the ids of one pre-tokenized word (raw bytes). Words are cached per thread.
  void encode(std::string_view word, std::vector<TokenId>& ids) const override;
  void encode_traced(std::string_view word, std::vector<TokenId>& ids,
                     std::vector<size_t>& ends) const override;

 private:
  struct Merge {
    uint32_t rank = kNoMerge;
    TokenId result = -1;
  };
  static constexpr uint32_t kNoMerge = UINT32_MAX;  // a rank that no merge has
  struct CachedWord;
  // Ids and, for each, the bytes of the word that it stands for.
  struct Symbols {
    std::vector<TokenId> ids;
    std::vector<uint32_t> bytes;
  };
  using Ids = std::unordered_map<std::string_view, TokenId>;

  void add_symbols(const TokenizerSpec& spec, const Ids& ids);
  Status add_merges(const TokenizerSpec& spec, const Ids& ids);
  void add_merges_by_score(const TokenizerSpec& spec, const Ids& ids);
  void find_cuts(const TokenizerSpec& spec, const Ids& ids);
  Merge find(TokenId left, TokenId right) const;
  void fill_byte_pairs();
  void fill_starts(const TokenizerSpec& spec);
  void reserve_merges(size_t count);
  void insert(TokenId left, TokenId right, Merge merge);
  void encode_part(std::string_view part, std::vector<TokenId>& ids) const;
  void merge_word(std::string_view word, uint64_t hash, Symbols& symbols) const;
  void merge_short(std::string_view word, Symbols& symbols) const;
  void merge_long(Symbols& symbols) const;
  void split_bytes(std::string_view word, Symbols& symbols) const;
  void split_chars(std::string_view word, Symbols& symbols) const;
  TokenId id_of_char(std::string_view word, size_t from, size_t to, char32_t code) const;
  size_t cut_after(std::string_view word, size_t from) const;

  bool byte_level_ = true;
  std::array<TokenId, 256> id_of_byte_{};  // with byte_fallback_ those of <0x00> to <0xFF>
  std::vector<TokenId> id_of_char_;        // below U+10000; empty for byte-level models
  std::unordered_map<char32_t, TokenId> id_of_rare_char_;
  ByteTrie whole_;  // user-defined symbols: taken whole, never merged
  std::string continuing_prefix_, end_suffix_;
  std::unordered_map<std::string, TokenId> affixed_;  // all tokens, where there are affixes
  TokenId unknown_ = -1;
  bool fuse_unknown_ = false;
  bool byte_fallback_ = false;
  // Long words may be cut before U+2581 unless the byte before it is one of these.
  bool cuts_ = false;
  std::array<bool, 256> joins_space_{};
  WordTable whole_words_;  // raw bytes; only with ignore_merges
  // Open addressing, a power of two; the pairs (left << 32 | right) apart from what they become,
  // because most look-ups find nothing and should touch little memory.
  std::vector<uint64_t> pairs_;
  std::vector<Merge> merges_;
  // A bit by hash for the pairs that there are: small enough to stay in the processor's cache, it
  // answers most of the look-ups that find nothing.
  std::vector<uint64_t> maybe_;
  // Byte-level models: what each pair of bytes becomes. Every word begins with such pairs.
  std::vector<Merge> byte_pairs_;
  HangulStarts hangul_;  // byte-level models
  uint32_t owner_ = 0;   // tells models apart in the word cache
};

}  // namespace sllm
