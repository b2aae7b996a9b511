// A fixed set of byte strings with ids: one probe of eight bytes tells that a word is not in it.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace sllm {

inline uint64_t mix_bits(uint64_t x) {
  x *= 0x9E3779B97F4A7C15u;
  return x ^ x >> 29;
}
inline uint64_t hash_bytes(std::string_view s) {
  uint64_t h = s.size() * 0xFF51AFD7ED558CCDu;
  while (s.size() >= 8) {
    uint64_t block;
    std::memcpy(&block, s.data(), 8);
    h = mix_bits(h ^ block);
    s.remove_prefix(8);
  }
  uint64_t tail = 0;
  std::memcpy(&tail, s.data(), s.size());
  return mix_bits(h ^ tail);
}

class WordTable {
 public:
  // Of words that are given twice the last counts.
  void build(const std::vector<std::pair<std::string, TokenId>>& words);
  // -1: the word is not there. `hash` is hash_bytes(word).
  TokenId find(std::string_view word, uint64_t hash) const;
  bool empty() const { return slots_.empty(); }

 private:
  struct Slot {
    uint32_t tag = 0;    // upper half of the hash
    uint32_t entry = 0;  // 1 + index in entries_; 0: free
  };
  struct Entry {
    size_t from = 0, size = 0;  // in bytes_
    TokenId id = -1;
  };
  std::string_view word(const Entry& e) const {
    return std::string_view(bytes_).substr(e.from, e.size);
  }
  std::vector<Slot> slots_;
  std::vector<Entry> entries_;
  std::string bytes_;
};

}  // namespace sllm
