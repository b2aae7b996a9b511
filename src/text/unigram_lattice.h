// All the ways to cut one word into pieces, for training: expected numbers of pieces, and the
// likeliest cut. (UnigramModel cuts text with a vocabulary that is done.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "text/byte_trie.h"

namespace sllm {

// Pieces by number, with their log-probabilities.
struct UnigramPieces {
  std::vector<std::string_view> texts;
  std::vector<double> scores;
  size_t size() const { return texts.size(); }
  void add(std::string_view text, double score) {
    texts.push_back(text);
    scores.push_back(score);
  }
  ByteTrie trie() const;
};

class UnigramLattice {
 public:
  static constexpr int32_t kUnknown = -1;  // a character that is no piece

  // `trie` is that of `pieces`; both must outlive this.
  UnigramLattice(const UnigramPieces& pieces, const ByteTrie& trie);
  // Adds `count` times the expected number of each piece in `word` to `expected`; returns the log
  // of the word's probability.
  double add_expected(std::string_view word, double count, std::vector<double>& expected);
  // The pieces of the likeliest cut, last first; of equals that whose pieces begin earliest.
  // `without` is not used; nor is anything returned when there is no other way.
  const std::vector<int32_t>& best_cut(std::string_view word, int32_t without = kUnknown);

 private:
  struct Edge {
    uint32_t from, to;
    int32_t piece;
    double score;
  };
  void lay_edges(std::string_view word, int32_t without);

  const UnigramPieces& pieces_;
  const ByteTrie& trie_;
  double unknown_score_ = 0;
  // Of the word at hand.
  std::vector<Edge> edges_;  // in order of where they begin
  std::vector<double> forward_, backward_;
  std::vector<int64_t> arrived_by_;  // edge of the best path to each byte
  std::vector<int32_t> cut_;
};

}  // namespace sllm
