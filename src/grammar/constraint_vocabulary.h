// A tokenizer's tokens by their bytes, in the order in which grammars try them.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace sllm {

// Immutable: one for all answers, in any thread. Tokens without bytes and those that end an answer
// are no text; special ones are on request.
class ConstraintVocabulary {
 public:
  // `end_ids`: the tokens that end an answer; {}: those of the tokenizer.
  explicit ConstraintVocabulary(const Tokenizer& tokenizer, std::vector<TokenId> end_ids = {},
                                bool special_is_text = false);

  // The tokens as a tree of bytes in preorder. Node 0 is the first, and follows the root, which is
  // none of them; the last only marks the end.
  struct Node {
    uint32_t after;        // the first node that is not below this one
    uint32_t first_token;  // its tokens are in by_node() from here to the next node's first
    uint16_t depth;        // 1: a token's first byte
    uint8_t byte;
  };
  std::span<const Node> nodes() const { return nodes_; }
  std::span<const TokenId> by_node() const { return by_node_; }
  size_t depth() const { return depth_; }  // of the deepest node

  int64_t size() const { return static_cast<int64_t>(texts_.size()); }  // of the vocabulary
  // "" for what is no text.
  std::string_view text(TokenId token) const;
  std::span<const TokenId> end_ids() const { return end_ids_; }
  bool is_end(TokenId token) const;

 private:
  struct Place {
    size_t at = 0;
    uint32_t size = 0;
  };
  void build_tree();

  std::string bytes_;
  std::vector<Place> texts_;  // in bytes_
  std::vector<Node> nodes_;
  std::vector<TokenId> by_node_, end_ids_;
  size_t depth_ = 0;
};

}  // namespace sllm
