#include "grammar/constraint_vocabulary.h"

#include <algorithm>

namespace sllm {

ConstraintVocabulary::ConstraintVocabulary(const Tokenizer& tokenizer, std::vector<TokenId> end_ids,
                                           bool special_is_text)
    : texts_(static_cast<size_t>(tokenizer.vocab_size())), end_ids_(std::move(end_ids)) {
  if (end_ids_.empty()) end_ids_ = tokenizer.eos_ids();
  std::erase_if(end_ids_, [&](TokenId id) { return id < 0 || id >= size(); });
  std::ranges::sort(end_ids_);
  end_ids_.erase(std::unique(end_ids_.begin(), end_ids_.end()), end_ids_.end());
  for (TokenId id = 0; id < size(); ++id) {
    if ((tokenizer.is_special(id) && !special_is_text) || is_end(id)) continue;
    if (std::ranges::count(tokenizer.eos_ids(), id) > 0) continue;
    const std::string_view text = tokenizer.token_bytes(id);
    if (text.size() > UINT16_MAX) continue;  // depths do not count that far, nor do tokenizers
    texts_[static_cast<size_t>(id)] = {bytes_.size(), static_cast<uint32_t>(text.size())};
    bytes_ += text;
  }
  build_tree();
}

void ConstraintVocabulary::build_tree() {
  for (TokenId id = 0; id < size(); ++id)
    if (!text(id).empty()) by_node_.push_back(id);
  std::ranges::stable_sort(by_node_, {}, [this](TokenId id) { return text(id); });
  std::vector<uint32_t> path;  // the nodes of the last token's bytes
  std::string_view last;
  for (uint32_t i = 0; i < by_node_.size(); ++i) {
    const std::string_view bytes = text(by_node_[i]);
    const auto same = static_cast<size_t>(std::ranges::mismatch(last, bytes).in1 - last.begin());
    for (; path.size() > same; path.pop_back())
      nodes_[path.back()].after = static_cast<uint32_t>(nodes_.size());
    for (size_t at = same; at < bytes.size(); ++at) {
      path.push_back(static_cast<uint32_t>(nodes_.size()));
      nodes_.push_back({0, i, static_cast<uint16_t>(at + 1), static_cast<uint8_t>(bytes[at])});
      // A node before the token's last has none: those of the node above end where this one's
      // begin.
    }
    depth_ = std::max(depth_, bytes.size());
    last = bytes;
  }
  for (const uint32_t node : path) nodes_[node].after = static_cast<uint32_t>(nodes_.size());
  nodes_.push_back({0, static_cast<uint32_t>(by_node_.size()), 0, 0});
}

std::string_view ConstraintVocabulary::text(TokenId token) const {
  if (token < 0 || token >= size()) return {};
  const Place place = texts_[static_cast<size_t>(token)];
  return std::string_view(bytes_).substr(place.at, place.size);
}

bool ConstraintVocabulary::is_end(TokenId token) const {
  return std::ranges::binary_search(end_ids_, token);
}

}  // namespace sllm
