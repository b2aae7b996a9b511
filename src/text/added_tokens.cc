// A byte trie over the added tokens' texts.
#include "text/added_tokens.h"

#include "text/unicode.h"

namespace sllm {

AddedTokenMatcher::AddedTokenMatcher(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  is_first_.fill(false);
  for (size_t t = 0; t < tokens_.size(); ++t) {
    const std::string& text = tokens_[t].text;
    if (text.empty()) continue;
    is_first_[static_cast<uint8_t>(text[0])] = true;
    int32_t node = 0;
    for (const char byte : text) {
      int32_t child = child_of(node, byte);
      if (child < 0) {
        child = static_cast<int32_t>(nodes_.size());
        nodes_.push_back({byte, -1, -1, nodes_[static_cast<size_t>(node)].child});
        nodes_[static_cast<size_t>(node)].child = child;
      }
      node = child;
    }
    nodes_[static_cast<size_t>(node)].token = static_cast<int32_t>(t);
  }
}

int32_t AddedTokenMatcher::child_of(int32_t node, char byte) const {
  int32_t child = nodes_[static_cast<size_t>(node)].child;
  while (child >= 0 && nodes_[static_cast<size_t>(child)].byte != byte)
    child = nodes_[static_cast<size_t>(child)].sibling;
  return child;
}

AddedTokenMatcher::Match AddedTokenMatcher::longest_at(std::string_view text, size_t at,
                                                       size_t floor) const {
  Match match;
  int32_t node = 0;
  for (size_t i = at; i < text.size(); ++i) {
    if ((node = child_of(node, text[i])) < 0) break;
    if (const int32_t t = nodes_[static_cast<size_t>(node)].token; t >= 0)
      match = {at, i + 1, at, i + 1, &tokens_[static_cast<size_t>(t)]};
  }
  if (!match.token) return match;
  const char* data = text.data();
  if (match.token->single_word &&
      ((match.from > 0 && unicode::is_word(unicode::decode_before(data + match.from).code)) ||
       (match.to < text.size() && unicode::is_word(unicode::decode(data + match.to).code))))
    return {};
  if (match.token->lstrip)
    while (match.from > floor) {
      const unicode::Char c = unicode::decode_before(data + match.from);
      if (!unicode::is_space(c.code)) break;
      match.from -= c.length;
    }
  if (match.token->rstrip)
    while (match.to < text.size()) {
      const unicode::Char c = unicode::decode(data + match.to);
      if (!unicode::is_space(c.code)) break;
      match.to += c.length;
    }
  return match;
}

}  // namespace sllm
