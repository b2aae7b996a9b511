#include "text/unigram_lattice.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "text/unicode.h"

namespace sllm {
namespace {

constexpr double kImpossible = -std::numeric_limits<double>::infinity();
constexpr double kUnknownPenalty = 10;  // below the least likely piece

double log_of_sum(double a, double b) {
  if (a < b) std::swap(a, b);
  return b == kImpossible ? a : a + std::log1p(std::exp(b - a));
}

}  // namespace

ByteTrie UnigramPieces::trie() const {
  std::vector<std::pair<std::string_view, int32_t>> entries;
  entries.reserve(size());
  for (size_t i = 0; i < size(); ++i) entries.emplace_back(texts[i], static_cast<int32_t>(i));
  return ByteTrie(std::move(entries));
}

UnigramLattice::UnigramLattice(const UnigramPieces& pieces, const ByteTrie& trie)
    : pieces_(pieces),
      trie_(trie),
      unknown_score_(std::ranges::min(pieces.scores) - kUnknownPenalty) {}

void UnigramLattice::lay_edges(std::string_view word, int32_t without) {
  edges_.clear();
  for (uint32_t at = 0; at < word.size();) {
    const uint32_t one = unicode::decode(word.data() + at).length;
    bool has_one = false;
    trie_.each_prefix(word.substr(at), [&](size_t length, int32_t piece) {
      has_one |= length == one;
      if (piece == without) return;
      edges_.push_back({at, at + static_cast<uint32_t>(length), piece,
                        pieces_.scores[static_cast<size_t>(piece)]});
    });
    if (!has_one) edges_.push_back({at, at + one, kUnknown, unknown_score_});
    at += one;
  }
}

double UnigramLattice::add_expected(std::string_view word, double count,
                                    std::vector<double>& expected) {
  lay_edges(word, kUnknown);
  forward_.assign(word.size() + 1, kImpossible);
  backward_.assign(word.size() + 1, kImpossible);
  forward_[0] = backward_[word.size()] = 0;
  for (const Edge& e : edges_)
    forward_[e.to] = log_of_sum(forward_[e.to], forward_[e.from] + e.score);
  for (auto e = edges_.rbegin(); e != edges_.rend(); ++e)
    backward_[e->from] = log_of_sum(backward_[e->from], e->score + backward_[e->to]);
  const double total = forward_[word.size()];
  for (const Edge& e : edges_)
    if (e.piece != kUnknown)
      expected[static_cast<size_t>(e.piece)] +=
          count * std::exp(forward_[e.from] + e.score + backward_[e.to] - total);
  return total;
}

const std::vector<int32_t>& UnigramLattice::best_cut(std::string_view word, int32_t without) {
  lay_edges(word, without);
  forward_.assign(word.size() + 1, kImpossible);
  arrived_by_.assign(word.size() + 1, -1);
  forward_[0] = 0;
  for (size_t i = 0; i < edges_.size(); ++i) {
    const Edge& e = edges_[i];
    const double score = forward_[e.from] + e.score;
    if (score <= forward_[e.to]) continue;
    forward_[e.to] = score;
    arrived_by_[e.to] = static_cast<int64_t>(i);
  }
  cut_.clear();
  if (arrived_by_[word.size()] < 0) return cut_;
  for (size_t to = word.size(); to > 0;) {
    const Edge& e = edges_[static_cast<size_t>(arrived_by_[to])];
    cut_.push_back(e.piece);
    to = e.from;
  }
  return cut_;
}

}  // namespace sllm
