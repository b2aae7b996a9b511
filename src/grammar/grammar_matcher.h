// One answer's way through a grammar: which tokens may come next.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "grammar/automaton.h"
#include "grammar/constraint_vocabulary.h"

namespace sllm {

// For one thread at a time. A token may come next where its bytes go on with a text of the grammar,
// and one that ends the answer where the text may end.
class GrammarMatcher {
 public:
  GrammarMatcher(std::shared_ptr<const Grammar> grammar,
                 std::shared_ptr<const ConstraintVocabulary> vocabulary);

  // Sets the logit of every token that may not come next to -infinity; logits beyond the vocabulary
  // are such. Where no token fits, for the vocabulary cannot spell what must come, those that end
  // the answer are left; false: it has none either, or the grammar is so ambiguous that not even
  // the tokens of one byte can be told in kMaxWork, and all are -infinity.
  // It takes a walk through the vocabulary where the text is in a state that was not met before in
  // this answer. Where a grammar is so ambiguous that this would take too long (kMaxWork), only
  // some of the tokens that may come next are left, among them all of one byte.
  bool mask(std::span<float> logits);

  // Goes on by a token; false, and nothing changes, when it may not come next.
  bool accept(TokenId token);
  // How many of `tokens` could come next, one after the other; nothing changes.
  size_t fitting(std::span<const TokenId> tokens);
  // The text is complete; nothing but the end may follow.
  bool may_end() const { return ended_ || automaton_.may_end(state_); }
  bool must_end() const { return ended_ || !automaton_.goes_on(state_); }

  static constexpr uint64_t kMaxWork = 4'000'000;        // nodes visited for one mask
  static constexpr size_t kMaxBytes = 32 * 1024 * 1024;  // of states kept between tokens

 private:
  using State = GrammarAutomaton::State;
  struct Allowed {
    std::vector<uint64_t> bits;  // by token
    uint64_t used = 0;           // when
    bool any = false;
  };
  void make_room();
  State after(State state, std::string_view text);
  const Allowed& allowed();
  bool walk(Allowed& allowed);  // false: not even the first bytes could be tried
  void allow(Allowed& allowed, size_t node) const;

  std::shared_ptr<const ConstraintVocabulary> vocabulary_;
  GrammarAutomaton automaton_;
  State state_;
  bool ended_ = false;
  uint64_t now_ = 0;
  std::unordered_map<State, Allowed> known_;
  std::vector<State> path_;  // of walk(): the state after each byte of the token at hand
};

}  // namespace sllm
