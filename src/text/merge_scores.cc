// Merges as a list of pairs and as scores of what they make, each from the other.
#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "text/tokenizer_writers.h"
#include "text/unicode.h"

namespace sllm {
namespace {

using Ids = std::unordered_map<std::string_view, size_t>;

// The tokens that merges may make and take.
Ids mergeable_tokens(const TokenizerSpec& spec) {
  std::unordered_set<TokenId> added;
  for (const AddedToken& token : spec.added) added.insert(token.id);
  Ids ids;
  for (size_t id = 0; id < spec.tokens.size(); ++id)
    if (!spec.tokens[id].empty() && (spec.matchable.empty() || spec.matchable[id]) &&
        !added.contains(static_cast<TokenId>(id)))
      ids.emplace(spec.tokens[id], id);
  return ids;
}

// Calls use(left, right) for every cut of the token into two others.
template <class Use>
void each_cut(const Ids& ids, std::string_view text, Use&& use) {
  for (size_t at = unicode::decode(text.data()).length; at < text.size();
       at += unicode::decode(text.data() + at).length) {
    const auto left = ids.find(text.substr(0, at)), right = ids.find(text.substr(at));
    if (left != ids.end() && right != ids.end()) use(left->second, right->second);
  }
}

}  // namespace

Result<std::vector<std::pair<std::string, std::string>>> merges_of_scores(
    const TokenizerSpec& spec) {
  constexpr size_t kMaxBytes = size_t{256} << 20;
  const Ids ids = mergeable_tokens(spec);
  std::vector<size_t> order;
  for (const auto& [text, id] : ids) order.push_back(id);
  std::ranges::sort(order, [&](size_t a, size_t b) {
    return std::pair(-spec.scores[a], a) < std::pair(-spec.scores[b], b);
  });
  std::vector<std::pair<std::string, std::string>> merges;
  std::vector<std::pair<size_t, size_t>> cuts;
  size_t bytes = 0;
  for (const size_t id : order) {
    cuts.clear();
    each_cut(ids, spec.tokens[id],
             [&](size_t left, size_t right) { cuts.emplace_back(left, right); });
    if (cuts.empty()) continue;
    bytes += cuts.size() * spec.tokens[id].size();
    if (bytes > kMaxBytes)
      return bad_input("its tokens can be cut in too many ways to list them as merges (\"{}\")",
                       spec.tokens[id].substr(0, 40));
    std::ranges::sort(cuts);
    for (const auto& [left, right] : cuts)
      merges.emplace_back(spec.tokens[left], spec.tokens[right]);
  }
  return merges;
}

std::vector<double> scores_of_merges(const TokenizerSpec& spec) {
  const Ids ids = mergeable_tokens(spec);
  std::vector<double> scores(spec.tokens.size(), 0);
  std::vector<bool> made(spec.tokens.size());
  size_t merges = 0, cuts = 0, last = SIZE_MAX;
  std::string joined;
  for (const auto& [left, right] : spec.merges) {
    joined.assign(left).append(right);
    const auto it = ids.find(joined);
    if (it == ids.end() || !ids.contains(left) || !ids.contains(right))
      continue;  // of added tokens
    ++merges;
    if (it->second == last) continue;
    if (made[it->second]) return {};  // other tokens' ranks lie between its own
    made[last = it->second] = true;
    scores[last] = -static_cast<double>(merges);
  }
  for (const auto& [text, id] : ids) each_cut(ids, text, [&](size_t, size_t) { ++cuts; });
  return cuts == merges ? scores : std::vector<double>();
}

}  // namespace sllm
