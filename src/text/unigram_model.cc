// The best path is found from left to right over the bytes, as sentencepiece's EncodeOptimized and
// tokenizers' Unigram do; ties go to the token that begins first.
#include "text/unigram_model.h"

#include <algorithm>
#include <limits>

#include "text/byte_level.h"

namespace sllm {
namespace {

constexpr double kUnknownPenalty = 10;

struct Node {
  double score = 0;
  size_t from = SIZE_MAX;
  TokenId id = -1;
};

}  // namespace

Result<UnigramModel> UnigramModel::build(const TokenizerSpec& spec) {
  UnigramModel model;
  if (spec.scores.size() != spec.tokens.size())
    return bad_input("there are {} scores for {} tokens", spec.scores.size(), spec.tokens.size());
  std::vector<std::pair<std::string_view, int32_t>> entries;
  double least = std::numeric_limits<double>::max();
  model.greatest_ = std::numeric_limits<double>::lowest();
  model.id_of_byte_.fill(-1);
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    const std::string& text = spec.tokens[id];
    if (text == spec.unknown && !spec.unknown.empty()) model.unknown_ = static_cast<TokenId>(id);
    if (const auto byte = byte_of_fallback_token(text))
      model.id_of_byte_[*byte] = static_cast<TokenId>(id);
    if (text.empty() || (!spec.matchable.empty() && !spec.matchable[id])) continue;
    entries.emplace_back(text, static_cast<int32_t>(id));
    least = std::min(least, spec.scores[id]);
    model.greatest_ = std::max(model.greatest_, spec.scores[id]);
  }
  if (entries.empty()) return bad_input("the vocabulary has no tokens");
  if (model.unknown_ < 0) return bad_input("the unigram model has no unknown token");
  model.trie_ = ByteTrie(std::move(entries));
  model.scores_ = spec.scores;
  model.whole_ = spec.whole;
  model.unknown_score_ = least - kUnknownPenalty;
  model.float_scores_ = spec.float_scores;
  if (spec.float_scores) model.unknown_score_ = static_cast<float>(model.unknown_score_);
  model.fuse_unknown_ = spec.fuse_unknown;
  model.byte_fallback_ = spec.byte_fallback && std::ranges::count(model.id_of_byte_, -1) == 0;
  return model;
}

// Calls emit(id, from, to) for each token in order.
template <class Emit>
void UnigramModel::best_path(std::string_view word, Emit&& emit) const {
  std::vector<Node> best(word.size() + 1);
  const auto offer = [&](size_t at, size_t to, TokenId id, double score) {
    const double exact = best[at].score + score;
    const double sum = float_scores_ ? static_cast<float>(exact) : exact;
    Node& node = best[to];
    if (node.from == SIZE_MAX || sum > node.score) node = {sum, at, id};
  };
  for (size_t at = 0; at < word.size();) {
    const size_t one = unicode::decode(word.data() + at).length;
    bool has_one = false;
    trie_.each_prefix(word.substr(at), [&](size_t length, TokenId id) {
      const auto i = static_cast<size_t>(id);
      // A user-defined symbol always wins (sentencepiece).
      const double score =
          !whole_.empty() && whole_[i] ? static_cast<double>(length) * greatest_ - 0.1 : scores_[i];
      offer(at, at + length, id, score);
      has_one |= length == one;
    });
    if (!has_one) offer(at, at + one, unknown_, unknown_score_);
    at += one;
  }
  std::vector<std::pair<size_t, size_t>> path;  // from, to; last first
  std::vector<TokenId> ids;
  for (size_t to = word.size(); to > 0; to = best[to].from) {
    const Node& node = best[to];
    if (fuse_unknown_ && node.id == unknown_ && !ids.empty() && ids.back() == unknown_) {
      path.back().first = node.from;
      continue;
    }
    path.emplace_back(node.from, to);
    ids.push_back(node.id);
  }
  for (size_t i = ids.size(); i-- > 0;) {
    const auto [from, to] = path[i];
    if (ids[i] == unknown_ && byte_fallback_)
      for (size_t at = from; at < to; ++at)
        emit(id_of_byte_[static_cast<uint8_t>(word[at])], at, at + 1);
    else
      emit(ids[i], from, to);
  }
}

void UnigramModel::encode(std::string_view word, std::vector<TokenId>& ids) const {
  best_path(word, [&](TokenId id, size_t, size_t) { ids.push_back(id); });
}

void UnigramModel::encode_traced(std::string_view word, std::vector<TokenId>& ids,
                                 std::vector<size_t>& ends) const {
  best_path(word, [&](TokenId id, size_t, size_t to) {
    ids.push_back(id);
    ends.push_back(to);
  });
}

}  // namespace sllm
