// Where the merging of Korean words may begin. A byte-level BPE begins with three bytes for every
// Hangul syllable, and most of its merges only put these together again. Here each syllable is
// merged alone beforehand, and words begin with the results where that is sure to change nothing.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace sllm {

class HangulStarts {
 public:
  static constexpr uint32_t kNever = UINT32_MAX;
  struct Merge {
    TokenId left = -1, right = -1, result = -1;
    uint32_t rank = kNever;  // kNever: the two do not merge
  };
  struct Edges {
    uint8_t first = 0, last = 0;  // bytes of a token
  };
  using Find = std::function<Merge(TokenId left, TokenId right)>;

  HangulStarts() = default;  // begin() is always false
  // `edges` by token; every byte must have a token.
  HangulStarts(const std::array<TokenId, 256>& id_of_byte, std::span<const Edges> edges,
               std::span<const Merge> merges, const Find& find);

  // Appends the symbols to begin with, each with its bytes, for a word of Hangul syllables with or
  // without a space in front. False, and nothing, for another word.
  bool begin(std::string_view word, std::vector<TokenId>& ids, std::vector<uint32_t>& bytes) const;

 private:
  // A syllable's symbols: merged alone, or its bytes.
  struct Start {
    uint32_t count = 0;
    std::array<uint8_t, 4> bytes{};
    std::array<TokenId, 4> ids{};
  };
  static constexpr uint32_t kFirst = 0xAC00, kCount = 11172;

  std::vector<Start> plain_, spaced_;
};

}  // namespace sllm
