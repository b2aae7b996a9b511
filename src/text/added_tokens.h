// Finds added tokens ("<|im_start|>") in text: leftmost, and of those at one place the longest.
#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "text/tokenizer_spec.h"

namespace sllm {

class AddedTokenMatcher {
 public:
  AddedTokenMatcher() { is_first_.fill(false); }
  explicit AddedTokenMatcher(std::vector<AddedToken> tokens);

  struct Match {
    size_t from = 0, to = 0;  // with the white space that lstrip and rstrip swallow
    size_t text_from = 0, text_to = 0;
    const AddedToken* token = nullptr;  // null: none
  };
  // The first match at or after `from` that may be used: allowed(token, text_from, text_to).
  template <class Allowed>
  Match next(std::string_view text, size_t from, Allowed&& allowed) const {
    for (size_t at = from; at < text.size(); ++at) {
      if (!is_first_[static_cast<uint8_t>(text[at])]) continue;
      const Match m = longest_at(text, at, from);
      if (m.token && allowed(*m.token, m.text_from, m.text_to)) return m;
    }
    return {};
  }
  bool empty() const { return tokens_.empty(); }

 private:
  struct Node {
    char byte = 0;
    int32_t token = -1, child = -1, sibling = -1;
  };
  Match longest_at(std::string_view text, size_t at, size_t floor) const;
  int32_t child_of(int32_t node, char byte) const;

  std::vector<AddedToken> tokens_;
  std::vector<Node> nodes_{Node{}};
  std::array<bool, 256> is_first_{};
};

}  // namespace sllm
