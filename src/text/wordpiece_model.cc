// A word of which some part is no token is unknown as a whole.
#include "text/wordpiece_model.h"

#include <algorithm>

namespace sllm {

Result<WordPieceModel> WordPieceModel::build(const TokenizerSpec& spec) {
  WordPieceModel model;
  std::vector<std::pair<std::string_view, int32_t>> entries;
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    if (spec.tokens[id].empty()) continue;
    entries.emplace_back(spec.tokens[id], static_cast<int32_t>(id));
    if (spec.tokens[id] == spec.unknown) model.unknown_ = static_cast<TokenId>(id);
  }
  if (model.unknown_ < 0)
    return bad_input("the unknown token \"{}\" is not in the vocabulary", spec.unknown);
  model.trie_ = ByteTrie(std::move(entries));
  model.continuing_ = model.trie_.walk(ByteTrie::kRoot, spec.continuing_prefix);
  model.max_chars_ = spec.max_word_chars;
  return model;
}

void WordPieceModel::encode_traced(std::string_view word, std::vector<TokenId>& ids,
                                   std::vector<size_t>& ends) const {
  const size_t ids_before = ids.size(), ends_before = ends.size();
  const auto chars = static_cast<size_t>(
      std::ranges::count_if(word, [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; }));
  size_t at = 0;
  while (chars <= max_chars_ && at < word.size()) {
    uint32_t node = at == 0 ? ByteTrie::kRoot : continuing_;
    TokenId best = -1;
    size_t best_end = at;
    for (size_t i = at; i < word.size() && node != ByteTrie::kNone; ++i) {
      if ((node = trie_.step(node, word[i])) == ByteTrie::kNone) break;
      if (trie_.value(node) >= 0) best = trie_.value(node), best_end = i + 1;
    }
    if (best < 0) break;
    ids.push_back(best);
    ends.push_back(best_end);
    at = best_end;
  }
  if (at == word.size()) return;
  ids.resize(ids_before);
  ends.resize(ends_before);
  ids.push_back(unknown_);
  ends.push_back(word.size());
}

void WordPieceModel::encode(std::string_view word, std::vector<TokenId>& ids) const {
  std::vector<size_t> ends;
  encode_traced(word, ids, ends);
}

}  // namespace sllm
