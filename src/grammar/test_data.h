// For the tests of this folder: whole texts through a grammar, and a tokenizer of given tokens.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/automaton.h"
#include "text/tokenizer.h"

namespace sllm::testing {

using GrammarPtr = std::shared_ptr<const Grammar>;

enum class Fits { kNo, kBegins, kWhole };

inline Fits fits(GrammarAutomaton& automaton, std::string_view text) {
  auto state = automaton.start();
  for (const char byte : text) state = automaton.step(state, static_cast<uint8_t>(byte));
  if (state == GrammarAutomaton::kDead) return Fits::kNo;
  return automaton.may_end(state) ? Fits::kWhole : Fits::kBegins;
}
inline Fits fits(const GrammarPtr& grammar, std::string_view text) {
  GrammarAutomaton automaton(grammar);
  return fits(automaton, text);
}
template <class Grammars>
bool accepts(Grammars&& grammar, std::string_view text) {
  return fits(grammar, text) == Fits::kWhole;
}

// Token 0 is special and ends answers, token 1 is only special; the others are `texts`.
class ListTokenizer : public Tokenizer {
 public:
  explicit ListTokenizer(std::vector<std::string> texts) : texts_(std::move(texts)) {
    texts_.insert(texts_.begin(), {"<end>", "<begin>"});
  }
  std::vector<TokenId> encode(std::string_view, EncodeOptions) const override { return {}; }
  EncodedText encode_marked(std::string_view, std::span<const uint8_t>) const override {
    return {};
  }
  std::string decode(std::span<const TokenId>, bool) const override { return {}; }
  std::string_view token_bytes(TokenId id) const override {
    return texts_[static_cast<size_t>(id)];
  }
  std::string_view token_text(TokenId id) const override { return token_bytes(id); }
  bool is_special(TokenId id) const override { return id < 2; }
  TokenId id_of(std::string_view text) const override {
    const auto at = std::ranges::find(texts_, text);
    return at == texts_.end() ? -1 : static_cast<TokenId>(at - texts_.begin());
  }
  int64_t vocab_size() const override { return static_cast<int64_t>(texts_.size()); }
  TokenId bos_id() const override { return 1; }
  const std::vector<TokenId>& eos_ids() const override { return eos_ids_; }

 private:
  std::vector<std::string> texts_;
  std::vector<TokenId> eos_ids_{0};
};

}  // namespace sllm::testing
